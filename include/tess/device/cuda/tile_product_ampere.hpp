// Products that are bound by arithmetic, on the tensor cores of every GPU since sm_80: mma.sync fed by cp.async.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tile_parts.hpp"

namespace tess::cuda {

/// A block of 4 warps (2 x 2) makes tiles of y [rows, columns], K in steps of `depth`, which arrive in a ring of shared memory.
/// A warp makes rows / 2 x 64: 64 x 64 takes 128 registers of sums, and per step of 16 reads 4 matrices of x and 4 of W for
/// 32 mma, 256 cycles of the tensor core against 128 of shared memory. Two blocks a multiprocessor (96 KB at most) hide each
/// other's barriers. With groups of scales a group's sums and the sums of all groups both need room: half the rows.
template <class E, Order W, int Terms, bool Groups>
struct AmpereTile {
  static constexpr int rows = Groups ? 64 : 128, columns = 128, depth = 32, threads = 128;
  static constexpr int stages = Terms == 1 ? 4 : 3;
  static constexpr int x_bytes = rows * depth * 2, w_bytes = depth * columns * static_cast<int>(sizeof(E));
  static constexpr int stage_bytes = Terms * x_bytes + w_bytes;
  static constexpr index_t shared = stages * stage_bytes;
};

namespace ampere {

/// Where 16 bytes of a tile lie in shared memory. Rows of 64 bytes (32 bf16 along K): any 8 rows of a column of chunks cover
/// all banks. Rows of 128 or 256 bytes: likewise, and so do rows 0, 2, 4, 6 of 32 bytes, which int8 are read by.
template <int RowBytes>
__device__ constexpr int chunk_at(int row, int chunk) {
  return row * RowBytes + (chunk ^ (RowBytes == 64 ? row >> 1 & 3 : row & 7)) * 16;
}

/// Queues the copies of one step of K into a stage: x [Terms][rows][depth], then W [depth][columns] or [columns][depth]. A
/// thread copies the same chunk of every 32nd row, or so.
template <class Shape, class E, Order W, int Terms, class Y>
__device__ void load_step(std::byte* stage, const TileProduct<E, Y>& p, const Tile& tile, index_t k) {
  const int thread = static_cast<int>(threadIdx.x);
  const index_t K = p.w.rows;
  {
    constexpr int chunks = Shape::depth / 8, rows_at_once = Shape::threads / chunks;
    const int row = thread / chunks, chunk = thread % chunks;
    const index_t at_k = k + chunk * 8, rows = at_k < K ? tile.row_end - tile.row : 0;
    const bf16* from = p.x + (p.x_row(tile) + row) * p.x_pitch + at_k;
#pragma unroll
    for (int r = 0; r < Shape::rows; r += rows_at_once, from += rows_at_once * p.x_pitch) {
      const bool there = row + r < rows;
#pragma unroll
      for (int term = 0; term < Terms; ++term)
        copy_async(stage + term * Shape::x_bytes + chunk_at<Shape::depth * 2>(row + r, chunk),
                   there ? from + term * p.x_term : p.x, there);
    }
  }
  stage += Terms * Shape::x_bytes;
  constexpr bool k_rows = W == Order::k_by_n;  // is a row of W in memory one of K?
  constexpr int in_chunk = 16 / static_cast<int>(sizeof(E));
  constexpr int chunks = (k_rows ? Shape::columns : Shape::depth) / in_chunk, rows_at_once = Shape::threads / chunks;
  const int row = thread / chunks, chunk = thread % chunks;
  const index_t first_row = k_rows ? k : tile.column, in_row = (k_rows ? tile.column : k) + chunk * in_chunk;
  const index_t rows = in_row < (k_rows ? p.w.columns : K) ? (k_rows ? K : p.w.columns) - first_row : 0;
  const E* from = p.w.matrix(tile.matrix) + (first_row + row) * p.w.pitch + in_row;
#pragma unroll
  for (int r = 0; r < (k_rows ? Shape::depth : Shape::columns); r += rows_at_once, from += rows_at_once * p.w.pitch) {
    const bool there = row + r < rows;
    copy_async(stage + chunk_at<chunks * 16>(row + r, chunk), there ? from : p.w.data, there);
  }
}

/// Operand B of a warp for 16 rows of K and its 64 columns: b[i] of tile i of 8 columns (isa.hpp, multiply_add). bf16: tile i
/// has the columns 8 i + n; int8: 32 (i / 4) + 4 n + i % 4, because a word of int8 has four columns.
template <class Shape, class E, Order W>
__device__ void load_weights(std::uint32_t (&b)[8][2], const std::byte* w, int k, int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (std::is_same_v<E, std::int8_t>) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int v = 0; v < 2; ++v) {
      const int at = column + 32 * v + 4 * g;
      std::uint32_t word[4];  // rows 2t, 2t + 1, 2t + 8, 2t + 9
#pragma unroll
      for (int i = 0; i < 4; ++i)
        word[i] = load_word(w + chunk_at<128>(k + 2 * t + i % 2 + i / 2 * 8, at / 16) + at % 16);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        b[4 * v + j][0] = bf16_from_int8(word[0], word[1], static_cast<std::uint32_t>(j));
        b[4 * v + j][1] = bf16_from_int8(word[2], word[3], static_cast<std::uint32_t>(j));
      }
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      std::uint32_t r[4];
      if constexpr (W == Order::k_by_n)  // matrices (k, n), (k + 8, n), (k, n + 8), (k + 8, n + 8)
        load_matrices_transposed(r, w + chunk_at<256>(k + lane % 16, (column + 8 * i) / 8 + lane / 16));
      else load_matrices(r, w + chunk_at<64>(column + 8 * i + lane % 8 + lane / 16 * 8, k / 8 + lane / 8 % 2));
      b[i][0] = r[0], b[i][1] = r[1], b[i + 1][0] = r[2], b[i + 1][1] = r[3];
    }
  }
}

/// The rows [begin, end) of 16 of an operand B; zeros for the others.
__device__ inline void keep_rows(std::uint32_t (&kept)[8][2], const std::uint32_t (&b)[8][2], index_t begin,
                                 index_t end) {
  const index_t t = threadIdx.x % 4;
  const auto keeps = [&](index_t k) { return k >= begin && k < end; };
  for (int half = 0; half < 2; ++half) {
    const index_t k = 2 * t + 8 * half;
    const std::uint32_t mask = (keeps(k) ? 0xffffu : 0u) | (keeps(k + 1) ? 0xffff0000u : 0u);
    for (int i = 0; i < 8; ++i) kept[i][half] = b[i][half] & mask;
  }
}

template <int Tiles>
using Sums = float[Tiles][8][4];  // of a warp: 16 rows, 8 columns, as multiply_add has them

template <int Tiles>
__device__ void multiply(Sums<Tiles>& sums, const std::byte* x, int row, int k, const std::uint32_t (&b)[8][2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < Tiles; ++m) {
    std::uint32_t a[4];
    load_matrices(a, x + chunk_at<64>(row + 16 * m + lane % 16, k / 8 + lane / 16));
#pragma unroll
    for (int i = 0; i < 8; ++i) multiply_add(sums[m][i], a, b[i]);
  }
}

/// f(sum, its scale, its place in `sums`). Only int8 have scales.
template <int Tiles, class E, class F>
__device__ void each_scaled(Sums<Tiles>& sums, const Weights<E>& w, index_t matrix, index_t group, index_t column,
                            F f) {
  const index_t t = threadIdx.x % 4;
#pragma unroll
  for (int v = 0; v < 2; ++v) {
    float scale[8];  // of the columns 8 t … 8 t + 7 of 32
    load_scales(scale, w, matrix, group, column + 32 * v + 8 * t);
#pragma unroll
    for (int m = 0; m < Tiles; ++m)
#pragma unroll
      for (int j = 4 * v; j < 4 * v + 4; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) f(sums[m][j][i], scale[i % 2 * 4 + j % 4], m, j, i);
  }
}
/// total += scale · sums, column by column, and sums = 0.
template <int Tiles, class E>
__device__ void add_scaled(Sums<Tiles>& total, Sums<Tiles>& sums, const Weights<E>& w, index_t matrix, index_t group,
                           index_t column) {
  each_scaled<Tiles>(sums, w, matrix, group, column, [&](float& sum, float scale, int m, int j, int i) {
    total[m][j][i] = fmaf(scale, sum, total[m][j][i]);
    sum = 0.0f;
  });
}

template <int Tiles, class E, class Y>
__device__ void store(const Sums<Tiles>& sums, const TileProduct<E, Y>& p, const Tile& tile, index_t row,
                      index_t column) {
  const index_t lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < Tiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const index_t at_row = row + 16 * m + 8 * half + g;
      if (at_row >= tile.row_end) continue;
      Y* to = p.y_row(tile, at_row);
      if constexpr (std::is_same_v<E, std::int8_t>) {
#pragma unroll
        for (int v = 0; v < 2; ++v) {
          float run[8];
#pragma unroll
          for (int c = 0; c < 8; ++c) run[c] = sums[m][4 * v + c % 4][2 * half + c / 4];
          const index_t at = column + 32 * v + 8 * t;
          store_run(to + at, run, p.w.columns - at);
        }
      } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const float run[2] = {sums[m][i][2 * half], sums[m][i][2 * half + 1]};
          const index_t at = column + 8 * i + 2 * t;
          store_run(to + at, run, p.w.columns - at);
        }
      }
    }
}

}  // namespace ampere

template <class E, Order W, int Terms, bool Groups, class Y>
__global__ void __launch_bounds__(128, 2) tile_product_ampere(TileProduct<E, Y> p) {
  using Shape = AmpereTile<E, W, Terms, Groups>;
  constexpr int tiles = Shape::rows / 32;  // of 16 rows, of a warp
  std::byte* const memory = shared_memory();
  const int warp = static_cast<int>(threadIdx.x) / 32, row = warp / 2 * (Shape::rows / 2), column = warp % 2 * 64;
  const index_t K = p.w.rows;

  TileWalk<Shape::rows, Shape::columns> walk(p.space);
  for (Tile tile; walk.next(tile);) {
    const Steps steps = steps_of(tile.split, p.space.splits, K, Shape::depth);
    ampere::Sums<tiles> sums = {};
    [[maybe_unused]] ampere::Sums<Groups ? tiles : 1> total = {};
    [[maybe_unused]] index_t group = 0, edge = 0;  // of scales; where it ends
    if constexpr (Groups) {
      group = p.w.group_of(steps.begin * Shape::depth);
      edge = (group + 1) * p.w.group_rows - p.w.first_group_offset;
    }
    const auto load = [&](index_t step) {
      if (step < steps.end)
        ampere::load_step<Shape, E, W, Terms>(memory + (step - steps.begin) % Shape::stages * Shape::stage_bytes, p,
                                              tile, step * Shape::depth);
      commit_copies();  // empty at the end: the count of groups goes on
    };
    for (index_t i = 0; i < Shape::stages - 1; ++i) load(steps.begin + i);
    for (index_t step = steps.begin; step < steps.end; ++step) {
      wait_for_copies<Shape::stages - 2>();
      __syncthreads();  // this step is there for all, and all are done with the one before, whose place the next load takes
      load(step + Shape::stages - 1);
      const std::byte* x = memory + (step - steps.begin) % Shape::stages * Shape::stage_bytes;
      const std::byte* w = x + Terms * Shape::x_bytes;
#pragma unroll
      for (int k = 0; k < Shape::depth; k += 16) {
        std::uint32_t b[8][2];
        ampere::load_weights<Shape, E, W>(b, w, k, column);
        const auto multiply = [&](const std::uint32_t(&rows_of_w)[8][2]) {
#pragma unroll
          for (int term = 0; term < Terms; ++term)
            ampere::multiply<tiles>(sums, x + term * Shape::x_bytes, row, k, rows_of_w);
        };
        if constexpr (!Groups) {
          multiply(b);
        } else {
          const index_t first = step * Shape::depth + k, last = first + 16 < K ? first + 16 : K;
          for (index_t at = first; at < last;) {
            const index_t to = edge < last ? edge : last;
            if (to - at == 16) {
              multiply(b);
            } else {
              std::uint32_t kept[8][2];
              ampere::keep_rows(kept, b, at - first, to - first);
              multiply(kept);
            }
            if (to == edge) {
              ampere::add_scaled<tiles>(total, sums, p.w, tile.matrix, group, tile.column + column);
              ++group, edge += p.w.group_rows;
            }
            at = to;
          }
        }
      }
    }
    wait_for_copies<0>();
    __syncthreads();  // the next tile begins to fill the ring
    if constexpr (Groups) {
      if (steps.begin < steps.end && group < p.w.groups)
        ampere::add_scaled<tiles>(total, sums, p.w, tile.matrix, group, tile.column + column);
      ampere::store<tiles>(total, p, tile, tile.row + row, tile.column + column);
    } else {
      if constexpr (Weights<E>::has_scales)
        if (steps.begin < steps.end)
          ampere::each_scaled<tiles>(sums, p.w, tile.matrix, 0, tile.column + column,
                                     [](float& sum, float scale, int, int, int) { sum *= scale; });
      ampere::store<tiles>(sums, p, tile, tile.row + row, tile.column + column);
    }
  }
}

}  // namespace tess::cuda
