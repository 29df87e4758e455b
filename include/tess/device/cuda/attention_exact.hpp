// attention_exact: softmax(q · k) · v in f32 throughout, for caches of f32 and for widths that tiles do not have.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "attention_view.hpp"

namespace tess::cuda {

/// A block has 8 rows and takes 32 positions at a time. Scores: a lane has a position, a warp two of the rows. Values: a
/// thread has `Columns` columns of all rows; where values are wider than a block, it starts again for the others.
template <int Columns>
struct ExactAttention {
  static constexpr int threads = 128, rows = 8, together = 32, depth = 256, columns = Columns;
  static constexpr int key_pitch = depth + 1;  // lanes then read different banks
  struct Shared {
    f32 keys[together * key_pitch];
    f32 weight[rows][together];
    f32 factor[rows], largest[rows], sum[rows];
  };
  /// Bytes: the queries [rows, key_width] come behind.
  static constexpr index_t shared(index_t key_width) {
    return static_cast<index_t>(sizeof(Shared)) + rows * key_width * static_cast<index_t>(sizeof(f32));
  }
};

/// grid: parts · tiles of rows · batch · key heads.
template <class Tile, class Y, class Q, class C>
__global__ __launch_bounds__(Tile::threads, 3) void attention_exact(AttentionView<Y, Q, C> a) {
  constexpr f32 nothing = -std::numeric_limits<f32>::infinity();
  wait_for_previous_kernel();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const AttentionBlock block(a, blockIdx.x);
  if (block.is_done(a)) return;

  auto& shared = *reinterpret_cast<typename Tile::Shared*>(shared_memory());
  auto* const queries = reinterpret_cast<f32*>(&shared + 1);
  for (int r = 0; r < Tile::rows; ++r)
    for (index_t c = thread; c < a.key_width; c += Tile::threads)
      queries[r * a.key_width + c] =
          block.first_row + r < a.rows()
              ? static_cast<f32>(a.q[a.line_of(block.b, block.key_head, block.first_row + r) * a.key_width + c])
              : 0.0f;
  const C* const keys = a.keys + block.first_position(a) * a.key_line + block.key_head * a.key_width;
  const C* const values = a.values + block.first_position(a) * a.value_line + block.key_head * a.value_head;
  const Scores<> scores(a);

  for (index_t first_column = 0; first_column < a.value_width; first_column += Tile::columns * Tile::threads) {
    f32 sum[Tile::rows][Tile::columns] = {};
    f32 largest[2] = {nothing, nothing}, weight[2] = {};
    for (index_t at = block.part.begin; at < block.part.end; at += Tile::together) {
      const int count = static_cast<int>(std::min<index_t>(Tile::together, block.part.end - at));
      f32 score[2] = {};
      for (index_t first = 0; first < a.key_width; first += Tile::depth) {
        const int width = static_cast<int>(std::min<index_t>(Tile::depth, a.key_width - first));
        __syncthreads();
        for (int p = warp; p < count; p += Tile::threads / 32)
          for (int c = lane; c < width; c += 32)
            shared.keys[p * Tile::key_pitch + c] = static_cast<f32>(keys[(at + p) * a.key_line + first + c]);
        __syncthreads();
        if (lane < count)
#pragma unroll 4
          for (int c = 0; c < width; ++c) {
            const f32 k = shared.keys[lane * Tile::key_pitch + c];
#pragma unroll
            for (int i = 0; i < 2; ++i) score[i] += queries[(2 * warp + i) * a.key_width + first + c] * k;
          }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const index_t mine = block.row.start + a.query_of(block.first_row + 2 * warp + i), p = at + lane;
        f32 s = lane < count && p <= mine && p >= a.first_seen(mine) ? scores(score[i]) : nothing, top = s;
        for (int apart = 16; apart > 0; apart /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, apart));
        top = fmaxf(top, largest[i]);
        const f32 base = top == nothing ? 0 : top, factor = exp2f(largest[i] - base);
        s = exp2f(s - base);
        shared.weight[2 * warp + i][lane] = s;
        for (int apart = 16; apart > 0; apart /= 2) s += __shfl_xor_sync(0xffffffffu, s, apart);
        weight[i] = weight[i] * factor + s;
        largest[i] = top;
        if (lane == 0) shared.factor[2 * warp + i] = factor;
      }
      __syncthreads();
#pragma unroll
      for (int j = 0; j < Tile::columns; ++j) {
        const index_t column = first_column + j * Tile::threads + thread;
#pragma unroll
        for (int r = 0; r < Tile::rows; ++r) sum[r][j] *= shared.factor[r];
#pragma unroll 4
        for (int p = 0; p < count && column < a.value_width; ++p) {
          const f32 v = static_cast<f32>(values[(at + p) * a.value_line + column]);
#pragma unroll
          for (int r = 0; r < Tile::rows; ++r) sum[r][j] += shared.weight[r][p] * v;
        }
      }
    }
    if (lane == 0)
#pragma unroll
      for (int i = 0; i < 2; ++i) shared.largest[2 * warp + i] = largest[i], shared.sum[2 * warp + i] = weight[i];
    __syncthreads();
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) {
      if (block.first_row + r >= a.rows()) continue;
      const AttentionLine line(a, block, block.first_row + r, shared.sum[r], shared.largest[r]);
      if (thread == 0) line.store_weight();
#pragma unroll
      for (int j = 0; j < Tile::columns; ++j) {
        const index_t column = first_column + j * Tile::threads + thread;
        if (column < a.value_width) line.store(column, sum[r][j]);
      }
    }
  }
}

}  // namespace tess::cuda
