// How blocks share a product that waits for its weights: equal runs of work, whatever the extents and the routing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "product.hpp"

namespace tess::cuda::stream {

/// Rows of K that a warp takes at a time: two k16 steps of the tensor cores.
inline constexpr int step_rows = 32;

/// Work is counted in units, a step of K of one tile of y, tile by tile. Each block takes a run of units [begin(b),
/// begin(b + 1)), of equal lengths but for one: the blocks end together, and a tile's sum may be shared by several.
/// Source: Osama et al., Stream-K, arXiv 2301.03598. In 32 bits, where a division takes a fifth of the time.
class Share {
 public:
  /// `steps`: units of a tile. `blocks`: from 1 to `total` units.
  constexpr Share(int steps, int total, int blocks)
      : steps_(steps), blocks_(blocks), each_(total / blocks), longer_(total % blocks) {}

  constexpr int blocks() const { return blocks_; }
  constexpr int begin(int block) const { return each_ * block + (block < longer_ ? block : longer_); }
  constexpr int block_of(int unit) const {
    const int of_longer = longer_ * (each_ + 1);  // the first blocks have a unit more
    return unit < of_longer ? unit / (each_ + 1) : longer_ + (unit - of_longer) / each_;
  }
  constexpr int first_block(int tile) const { return block_of(tile * steps_); }
  constexpr int last_block(int tile) const { return block_of((tile + 1) * steps_ - 1); }
  /// A block has parts of two tiles at most: of its first, and of its last. Where it keeps that of `tile`.
  constexpr int part(int block, int tile) const { return 2 * block + (begin(block) >= tile * steps_ ? 0 : 1); }

 private:
  int steps_, blocks_, each_, longer_;
};

/// Rows of x that meet one matrix together.
struct Chunk {
  int matrix = 0, row = 0;  // the first row, in x and y
  int rows = 0;
};

/// The chunks of a product, of at most `size` rows each.
struct Chunks {
  int matrices = 1, rows = 0;
  const i32* offsets = nullptr;  // as in Product
  int size = 8;

  /// As many as there can be.
  constexpr index_t bound() const {
    const index_t each = (static_cast<index_t>(rows) + size - 1) / size;
    return offsets ? each + (matrices < rows ? matrices : rows) : matrices * each;
  }
  /// How many there are. By a warp.
  __device__ int count() const {
    if (!offsets) return static_cast<int>(bound());
    int n = 0;
    for (int e = static_cast<int>(threadIdx.x % 32); e < matrices; e += 32) n += of(e);
    for (int lanes = 16; lanes > 0; lanes /= 2) n += __shfl_xor_sync(0xffffffffu, n, lanes);
    return n;
  }
  /// Number i of them. By a warp.
  __device__ Chunk at(int i) const {
    if (!offsets) {
      const int each = (rows + size - 1) / size, row = i % each * size;
      return {i / each, row, smaller(size, rows - row)};
    }
    const int lane = static_cast<int>(threadIdx.x % 32);
    for (int first = 0;; first += 32) {  // 32 matrices at a time, until i is among their chunks
      const int own = first + lane < matrices ? of(first + lane) : 0;
      int up_to_here = own;
      for (int lanes = 1; lanes < 32; lanes *= 2) {
        const int before = __shfl_up_sync(0xffffffffu, up_to_here, static_cast<unsigned>(lanes));
        if (lane >= lanes) up_to_here += before;
      }
      const unsigned behind = __ballot_sync(0xffffffffu, i < up_to_here);
      if (behind) {
        const int found = __ffs(static_cast<int>(behind)) - 1;
        const int before = __shfl_sync(0xffffffffu, up_to_here - own, found);
        const int matrix = first + found, row = offsets[matrix] + (i - before) * size;
        return {matrix, row, smaller(size, offsets[matrix + 1] - row)};
      }
      i -= __shfl_sync(0xffffffffu, up_to_here, 31);
    }
  }

 private:
  __device__ int of(int matrix) const { return (offsets[matrix + 1] - offsets[matrix] + size - 1) / size; }
  __device__ static int smaller(int a, int b) { return b < a ? b : a; }
};

}  // namespace tess::cuda::stream
