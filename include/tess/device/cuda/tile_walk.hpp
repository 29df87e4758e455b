// Tiles of a product that is bound by arithmetic, and the walk of a persistent kernel over them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "product.hpp"

namespace tess::cuda {

/// What is to be covered by tiles: y [rows, columns] of every matrix. With offsets the rows of a matrix are known on the GPU
/// only; a matrix without rows has no tiles.
struct TileSpace {
  index_t matrices = 1, rows = 0, columns = 0;
  index_t splits = 1;  // parts of K, each with its own sums
  const i32* offsets = nullptr;

  /// At least as many tiles as there are.
  constexpr index_t bound(index_t tile_rows, index_t tile_columns) const {
    const index_t row_tiles = offsets ? ceil_div(rows, tile_rows) + matrices - 1 : ceil_div(rows, tile_rows) * matrices;
    return rows > 0 ? row_tiles * ceil_div(columns, tile_columns) * splits : 0;
  }
};

struct Tile {
  index_t matrix = 0, split = 0;
  index_t row = 0, row_end = 0;  // the tile begins at `row`, the rows of its matrix end at `row_end`
  index_t column = 0;
};

/// Block b of a grid of G takes the tiles b, b + G, b + 2G … Tiles are counted in bands of 16 row tiles, in a band column by
/// column: what runs at a time (132 blocks on an H100) then covers about as many rows as columns, and reads both from L2.
template <int TileRows, int TileColumns>
class TileWalk {
 public:
  __device__ explicit TileWalk(const TileSpace& space)
      : space_(space), next_(blockIdx.x), column_tiles_(ceil_div(space.columns, TileColumns)) {}

  /// False after the last tile.
  __device__ bool next(Tile& tile) {
    for (; matrix_ < space_.matrices; ++matrix_) {
      const index_t begin = space_.offsets ? space_.offsets[matrix_] : 0;
      const index_t end = space_.offsets ? space_.offsets[matrix_ + 1] : space_.rows;
      const index_t row_tiles = ceil_div(end - begin, TileRows);
      const index_t count = row_tiles * column_tiles_ * space_.splits;
      if (next_ - before_ < count) {
        index_t i = next_ - before_;
        const index_t per_split = row_tiles * column_tiles_;
        tile.matrix = matrix_, tile.split = i / per_split;
        i %= per_split;
        const index_t band = i / (band_rows * column_tiles_) * band_rows;
        const index_t in_band = row_tiles - band < band_rows ? row_tiles - band : band_rows;
        i -= band * column_tiles_;
        tile.row = begin + (band + i % in_band) * TileRows, tile.row_end = end;
        tile.column = i / in_band * TileColumns;
        next_ += gridDim.x;
        return true;
      }
      before_ += count;
    }
    return false;
  }

 private:
  static constexpr index_t band_rows = 16;  // in tiles
  TileSpace space_;
  index_t next_, column_tiles_;
  index_t matrix_ = 0, before_ = 0;  // tiles of the matrices before
};

/// The steps of K that belong to a part.
struct Steps {
  index_t begin, end;
};
__device__ constexpr Steps steps_of(index_t split, index_t splits, index_t K, index_t depth) {
  const index_t steps = ceil_div(K, depth);
  return {split * steps / splits, (split + 1) * steps / splits};
}

}  // namespace tess::cuda
