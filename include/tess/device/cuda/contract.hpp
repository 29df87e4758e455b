// The product of two arrays in GPU memory with any dimensions summed: tiles of sums, in the type of the result.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../local/contraction.hpp"
#include "gpu.hpp"
#include "indexing.hpp"
#include "isa.hpp"

namespace tess::cuda {

/// A block of 256 threads makes 64 x 64 sums, each thread 4 x 4 of them, from slices of 16 along the summed dimensions.
struct ContractionTile {
  static constexpr int rows = 64, columns = 64, depth = 16, threads = 256, each = 4;
  static constexpr int across = columns / each;  // threads beside one another
};

/// The block's shared memory: slices of both operands, and where their lines begin.
template <class T>
struct ContractionShared {
  using Tile = ContractionTile;
  T lhs[Tile::depth][Tile::rows], rhs[Tile::depth][Tile::columns];
  index_t row[Tile::rows], column[Tile::columns], lhs_depth[Tile::depth], rhs_depth[Tile::depth];
};

/// sums [4, 4] of this thread += lhs [16, 64]^T · rhs [16, 64].
template <class T>
__device__ void add_slice(T (&sums)[4][4], const ContractionShared<T>& s, int row, int column) {
  for (int k = 0; k < ContractionTile::depth; ++k) {
    T a[4], b[4];
    for (int i = 0; i < 4; ++i) a[i] = s.lhs[k][row + i], b[i] = s.rhs[k][column + i * ContractionTile::across];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) sums[i][j] += a[i] * b[j];
  }
}

template <class T, class Y, class X, class W>
__global__ void __launch_bounds__(ContractionTile::threads)
    contract_kernel(Y* y, const X* x, const W* w, ContractionWalks walks, index_t M, index_t N, index_t K,
                    index_t row_tiles, index_t column_tiles) {
  follow_previous_kernel();
  using Tile = ContractionTile;
  auto& s = *reinterpret_cast<ContractionShared<T>*>(shared_memory());
  const int me = static_cast<int>(threadIdx.x), row = me / Tile::across * Tile::each, column = me % Tile::across;
  index_t tile = blockIdx.x;
  const index_t left = take_remainder(tile, column_tiles) * Tile::columns,
                top = take_remainder(tile, row_tiles) * Tile::rows;
  const auto& batch = walks.batch;
  x += place_of(tile, batch.rank, batch.extent, batch.lhs);
  w += place_of(tile, batch.rank, batch.extent, batch.rhs);
  y += place_of(tile, batch.rank, batch.extent, batch.out);
  // Lines beyond the last one are read as the first, and their sums are dropped.
  if (me < Tile::rows)
    s.row[me] = place_of(top + me < M ? top + me : 0, walks.rows.rank, walks.rows.extent, walks.rows.lhs);
  else if (me < Tile::rows + Tile::columns) {
    const int n = me - Tile::rows;
    s.column[n] = place_of(left + n < N ? left + n : 0, walks.columns.rank, walks.columns.extent, walks.columns.rhs);
  }
  T sums[Tile::each][Tile::each] = {};
  for (index_t from = 0; from < K; from += Tile::depth) {
    if (me < Tile::depth && from + me < K) {
      s.lhs_depth[me] = place_of(from + me, walks.summed.rank, walks.summed.extent, walks.summed.lhs);
      s.rhs_depth[me] = place_of(from + me, walks.summed.rank, walks.summed.extent, walks.summed.rhs);
    }
    __syncthreads();
    for (int i = me; i < Tile::depth * Tile::rows; i += Tile::threads) {
      const int k = i % Tile::depth, m = i / Tile::depth;  // neighbours along k, which lies together more often
      s.lhs[k][m] = from + k < K ? static_cast<T>(x[s.row[m] + s.lhs_depth[k]]) : T{};
    }
    for (int i = me; i < Tile::depth * Tile::columns; i += Tile::threads) {
      const int k = i / Tile::columns, n = i % Tile::columns;
      s.rhs[k][n] = from + k < K ? static_cast<T>(w[s.column[n] + s.rhs_depth[k]]) : T{};
    }
    __syncthreads();
    add_slice(sums, s, row, column);
    __syncthreads();
  }
  for (int i = 0; i < Tile::each; ++i) {
    if (top + row + i >= M) break;
    Y* to = y + place_of(top + row + i, walks.rows.rank, walks.rows.extent, walks.rows.out);
    for (int j = 0; j < Tile::each; ++j) {
      const index_t n = left + column + j * Tile::across;
      if (n < N)
        to[place_of(n, walks.columns.rank, walks.columns.extent, walks.columns.out)] = static_cast<Y>(sums[i][j]);
    }
  }
}

/// y[b, m, n] = sum over k of x[b, m, k] · w[b, k, n], in T, k in order; rounded once to Y.
template <class T, class Y, class X, class W>
void contract(Gpu& gpu, Y* y, const X* x, const W* w, const ContractionWalks& walks) {
  const index_t M = walks.rows.size(), N = walks.columns.size(), K = walks.summed.size();
  const index_t row_tiles = ceil_div(M, ContractionTile::rows), column_tiles = ceil_div(N, ContractionTile::columns);
  gpu.run(contract_kernel<T, Y, X, W>,
          {.grid = blocks(walks.batch.size() * row_tiles * column_tiles),
           .block = blocks(ContractionTile::threads),
           .shared = sizeof(ContractionShared<T>),
           .overlaps = true},
          y, x, w, walks, M, N, K, row_tiles, column_tiles);
}

}  // namespace tess::cuda
