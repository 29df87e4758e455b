// attention_tiles: softmax(q · k) · v on tensor cores over caches of bf16, for prompts and for single tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "attention_view.hpp"

namespace tess::cuda {

/// The sizes of a block. It has `rows` rows of queries and takes `Positions` positions at a time, in `Stages` buffers of
/// shared memory; its warps share the rows, the positions and the columns of the values. Queries and weights are sums of
/// so many bf16 terms.
template <int KeyWidth, int ValueWidth, bool ValuesInKeys, int RowWarps, int RowTiles, int PositionWarps,
          int ColumnWarps, int Together, int Stages, int QueryTerms, int WeightTerms>
struct AttentionTile {
  static constexpr int key_width = KeyWidth, value_width = ValueWidth, row_tiles = RowTiles, stages = Stages,
                       together = Together, query_terms = QueryTerms, weight_terms = WeightTerms;
  static constexpr bool values_in_keys = ValuesInKeys;
  static constexpr int row_warps = RowWarps, position_warps = PositionWarps, column_warps = ColumnWarps;
  static constexpr int threads = 32 * RowWarps * PositionWarps * ColumnWarps;
  static constexpr int rows = 16 * RowTiles * RowWarps;
  static constexpr int positions = Together / PositionWarps;  // of a warp
  static constexpr int columns = ValueWidth / ColumnWarps;    // of a warp
  // 16 bytes more than a row: eight rows of a matrix then lie in different banks
  static constexpr int key_pitch = KeyWidth + 8, value_pitch = ValuesInKeys ? key_pitch : ValueWidth + 8;
  static constexpr int value_offset = ValuesInKeys ? 0 : Together * key_pitch;
  static constexpr int stage = Together * key_pitch + (ValuesInKeys ? 0 : Together * value_pitch);
  static constexpr int query_size = rows * key_pitch;
  static constexpr index_t while_reading = 2 * (QueryTerms * query_size + Stages * stage);                     // bytes
  static constexpr index_t at_the_end = PositionWarps == 1 ? 0 : 4 * PositionWarps * rows * (ValueWidth + 2);  // bytes
  static constexpr index_t shared = while_reading > at_the_end ? while_reading : at_the_end;
  /// Blocks of a multiprocessor with 228 KB of shared memory, where registers allow them too.
  static constexpr int resident = threads > 128 || shared > (112 << 10) ? 1 : shared > (74 << 10) ? 2 : 3;
  static_assert(KeyWidth % 16 == 0 && positions % 16 == 0 && columns % 16 == 0 && Stages >= 2);
};

namespace detail {

/// Of the rows and positions of a warp; lane l has rows l / 4 and l / 4 + 8 of each row tile, and of every 8 positions those
/// at 2 (l % 4) and the one behind it.
template <class Tile>
using AttentionScores = f32[Tile::row_tiles][Tile::positions / 8][4];

/// f(row tile, half, row of the block) for the rows of a lane.
template <class Tile, class F>
__device__ inline void each_row(int row_warp, F f) {
#pragma unroll
  for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h)
      f(m, h, 16 * (row_warp * Tile::row_tiles + m) + 8 * h + static_cast<int>(threadIdx.x) % 32 / 4);
}

/// What a warp keeps for its rows: sums of weights and of weighted values, relative to the largest score.
template <class Tile>
struct AttentionSums {
  f32 value[Tile::row_tiles][Tile::columns / 8][4];
  f32 largest[Tile::row_tiles][2], weight[Tile::row_tiles][2];

  __device__ AttentionSums() {
#pragma unroll
    for (int m = 0; m < Tile::row_tiles; ++m) {
#pragma unroll
      for (int n = 0; n < Tile::columns / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) value[m][n][i] = 0;
#pragma unroll
      for (int h = 0; h < 2; ++h) largest[m][h] = -std::numeric_limits<f32>::infinity(), weight[m][h] = 0;
    }
  }
  /// Weights of a lane become those of the row.
  __device__ void finish() {
#pragma unroll
    for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        weight[m][h] += __shfl_xor_sync(0xffffffffu, weight[m][h], 1);
        weight[m][h] += __shfl_xor_sync(0xffffffffu, weight[m][h], 2);
      }
  }
};

/// Which positions the rows of a warp see.
template <class Tile>
struct AttentionSight {
  int position[Tile::row_tiles][2];  // of each row's query
  int end, window;
  index_t all_from, all_to;  // seen by all rows of the block

  template <class View>
  __device__ AttentionSight(const View& a, const AttentionBlock& block, int row_warp)
      : end(static_cast<int>(block.part.end)),
        window(a.window > 0 && a.window < block.part.end ? static_cast<int>(a.window) : end + 1),
        all_from(a.first_seen(block.row.start + a.query_of(block.first_row + Tile::rows - 1))),
        all_to(std::min(block.row.start + a.query_of(block.first_row) + 1, block.part.end)) {
    each_row<Tile>(row_warp, [&](int m, int h, int row) {
      position[m][h] = static_cast<int>(block.row.start + a.query_of(block.first_row + row));
    });
  }
  /// Products of queries and the keys from `at` on become scores.
  template <class ToScore>
  __device__ void score(const ToScore& to_score, index_t at, AttentionScores<Tile>& score) const {
    const int first = static_cast<int>(at) + static_cast<int>(threadIdx.x) % 4 * 2;
    const bool all_seen = at >= all_from && at + Tile::positions <= all_to;
#pragma unroll
    for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
      for (int n = 0; n < Tile::positions / 8; ++n)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int p = first + 8 * n + j % 2, mine = position[m][j / 2];
          const bool is_seen = all_seen || (p <= mine && p > mine - window && p < end);
          score[m][n][j] = is_seen ? to_score(score[m][n][j]) : -std::numeric_limits<f32>::infinity();
        }
  }
};

/// Rows [first, ...) of the queries as bf16 terms in shared memory; zeros beyond the rows and the width.
template <class Tile, class View>
__device__ inline void load_queries(const View& a, index_t b, index_t key_head, index_t first, bf16* to) {
  using Q = std::remove_cvref_t<decltype(*a.q)>;
  constexpr int chunks = Tile::key_width / 8;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::rows * chunks; i += Tile::threads) {
    const int r = i / chunks, c = i % chunks * 8;
    Words term[2] = {};
    if (first + r < a.rows() && c < a.key_width) {
      const Q* const from = a.q + a.line_of(b, key_head, first + r) * a.key_width + c;
      if constexpr (std::is_same_v<Q, bf16>) {
        term[0] = *reinterpret_cast<const Words*>(from);
      } else {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const Words x = reinterpret_cast<const Words*>(from)[j];
          for (int p = 0; p < 2; ++p) {
            const f32 low = __uint_as_float(x.word[2 * p]), high = __uint_as_float(x.word[2 * p + 1]);
            const std::uint32_t rounded = pack_bf16(low, high);
            term[0].word[2 * j + p] = rounded;
            term[1].word[2 * j + p] =
                pack_bf16(low - __uint_as_float(rounded << 16), high - __uint_as_float(rounded & 0xffff0000u));
          }
        }
      }
    }
#pragma unroll
    for (int t = 0; t < Tile::query_terms; ++t)
      *reinterpret_cast<Words*>(to + t * Tile::query_size + r * Tile::key_pitch + c) = term[t];
  }
}

/// Starts the copies of `Tile::together` positions from `at` on; zeros from `end` on, and beyond the width.
template <class Tile, int Width, int Pitch>
__device__ inline void copy_positions(const bf16* from, index_t line, index_t width, index_t at, index_t end,
                                      bf16* to) {
  constexpr int chunks = Width / 8;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::together * chunks; i += Tile::threads) {
    const int p = i / chunks, c = i % chunks * 8;
    const bool there = at + p < end && c < width;
    copy_async(to + p * Pitch + c, there ? from + (at + p) * line + c : from, there);
  }
}

/// score [rows, positions] of a warp = queries · keysᵀ.
template <class Tile>
__device__ inline void multiply_keys(const bf16* queries, const bf16* keys, AttentionScores<Tile>& score) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const bf16* const q = queries + lane % 16 * Tile::key_pitch + lane / 16 * 8;
  const bf16* const k = keys + (lane / 16 * 8 + lane % 8) * Tile::key_pitch + lane / 8 % 2 * 8;
#pragma unroll(Tile::row_tiles == 1 ? 8 : 2)
  for (int depth = 0; depth < Tile::key_width; depth += 16) {
    std::uint32_t x[Tile::query_terms][Tile::row_tiles][4];
#pragma unroll
    for (int t = 0; t < Tile::query_terms; ++t)
#pragma unroll
      for (int m = 0; m < Tile::row_tiles; ++m)
        load_matrices(x[t][m], q + t * Tile::query_size + 16 * m * Tile::key_pitch + depth);
#pragma unroll
    for (int n = 0; n < Tile::positions / 8; n += 2) {
      std::uint32_t y[4];
      load_matrices(y, k + 8 * n * Tile::key_pitch + depth);
      const std::uint32_t first[2] = {y[0], y[1]}, second[2] = {y[2], y[3]};
#pragma unroll
      for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
        for (int t = 0; t < Tile::query_terms; ++t) {
          multiply_add(score[m][n], x[t][m], first);
          multiply_add(score[m][n + 1], x[t][m], second);
        }
    }
  }
}

/// sums.value += weight [rows, positions] · values.
template <class Tile>
__device__ inline void multiply_values(const AttentionScores<Tile>& weight, const bf16* values,
                                       AttentionSums<Tile>& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const bf16* const v = values + lane % 16 * Tile::value_pitch + lane / 16 * 8;
#pragma unroll
  for (int depth = 0; depth < Tile::positions; depth += 16) {
    std::uint32_t x[Tile::weight_terms][Tile::row_tiles][4];
#pragma unroll
    for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) {  // where the products of two 8-column tiles lie is where the next one's operand is
        const f32* const w = weight[m][depth / 8 + i / 2] + i % 2 * 2;
        x[0][m][i] = pack_bf16(w[0], w[1]);
        if constexpr (Tile::weight_terms == 2)
          x[1][m][i] =
              pack_bf16(w[0] - __uint_as_float(x[0][m][i] << 16), w[1] - __uint_as_float(x[0][m][i] & 0xffff0000u));
      }
#pragma unroll
    for (int n = 0; n < Tile::columns / 8; n += 2) {
      std::uint32_t y[4];
      load_matrices_transposed(y, v + depth * Tile::value_pitch + 8 * n);
      const std::uint32_t first[2] = {y[0], y[1]}, second[2] = {y[2], y[3]};
#pragma unroll
      for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
        for (int t = 0; t < Tile::weight_terms; ++t) {
          multiply_add(sums.value[m][n], x[t][m], first);
          multiply_add(sums.value[m][n + 1], x[t][m], second);
        }
    }
  }
}

/// Scores become weights relative to the largest score so far. `weight` of a lane counts its own positions only.
/// Source: Milakov and Gimelshein, arXiv 1805.02867.
template <class Tile>
__device__ inline void add_weights(AttentionScores<Tile>& score, AttentionSums<Tile>& sums) {
#pragma unroll
  for (int m = 0; m < Tile::row_tiles; ++m)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      f32 largest = sums.largest[m][h];
#pragma unroll
      for (int n = 0; n < Tile::positions / 8; ++n)
        largest = fmaxf(largest, fmaxf(score[m][n][2 * h], score[m][n][2 * h + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const f32 base = largest == -std::numeric_limits<f32>::infinity() ? 0 : largest;  // has seen nothing yet
      const f32 factor = exp2f(sums.largest[m][h] - base);
      f32 weight = 0;
#pragma unroll
      for (int n = 0; n < Tile::positions / 8; ++n)
#pragma unroll
        for (int j = 2 * h; j < 2 * h + 2; ++j) {
          score[m][n][j] = exp2f(score[m][n][j] - base);
          weight += score[m][n][j];
        }
      sums.largest[m][h] = largest;
      sums.weight[m][h] = sums.weight[m][h] * factor + weight;
#pragma unroll
      for (int n = 0; n < Tile::columns / 8; ++n)
#pragma unroll
        for (int j = 2 * h; j < 2 * h + 2; ++j) sums.value[m][n][j] *= factor;
    }
}

/// Of warps that have seen all positions of the block.
template <class View, class Tile>
__device__ inline void store_sums(const View& a, const AttentionBlock& block, const AttentionSums<Tile>& sums,
                                  int row_warp, int column_warp) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  each_row<Tile>(row_warp, [&](int m, int h, int r) {
    if (block.first_row + r >= a.rows()) return;
    const AttentionLine line(a, block, block.first_row + r, sums.weight[m][h], sums.largest[m][h]);
    if (lane % 4 == 0 && column_warp == 0) line.store_weight();
#pragma unroll
    for (int n = 0; n < Tile::columns / 8; ++n)
#pragma unroll
      for (int j = 0; j < 2; ++j)
        if (const int c = column_warp * Tile::columns + 8 * n + lane % 4 * 2 + j; c < a.value_width)
          line.store(c, sums.value[m][n][2 * h + j]);
  });
}

/// sums of the warps that share rows and columns but not positions, added up in shared memory: value [warp][row][column],
/// largest and weight [warp][row].
template <class Tile>
struct AttentionExchange {
  f32 *value, *largest, *weight;
  __device__ explicit AttentionExchange(std::byte* memory)
      : value(reinterpret_cast<f32*>(memory)),
        largest(value + Tile::position_warps * Tile::rows * Tile::value_width),
        weight(largest + Tile::position_warps * Tile::rows) {}

  __device__ f32 largest_of(int row) const {
    f32 x = largest[row];
    for (int w = 1; w < Tile::position_warps; ++w) x = fmaxf(x, largest[w * Tile::rows + row]);
    return x;
  }
  /// Every warp brings its sums to the largest score of all warps.
  __device__ void put(AttentionSums<Tile>& sums, int row_warp, int position_warp, int column_warp) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    __syncthreads();  // nobody reads positions from here on
    each_row<Tile>(row_warp, [&](int m, int h, int row) {
      if (lane % 4 == 0 && column_warp == 0) largest[position_warp * Tile::rows + row] = sums.largest[m][h];
    });
    __syncthreads();
    each_row<Tile>(row_warp, [&](int m, int h, int row) {
      const f32 all = largest_of(row);
      const f32 factor = sums.weight[m][h] > 0 ? exp2f(sums.largest[m][h] - all) : 0;
      if (lane % 4 == 0 && column_warp == 0) weight[position_warp * Tile::rows + row] = sums.weight[m][h] * factor;
      f32* const to = value + (position_warp * Tile::rows + row) * Tile::value_width + column_warp * Tile::columns;
#pragma unroll
      for (int n = 0; n < Tile::columns / 8; ++n)
#pragma unroll
        for (int j = 0; j < 2; ++j) to[8 * n + lane % 4 * 2 + j] = sums.value[m][n][2 * h + j] * factor;
    });
    __syncthreads();
  }
  __device__ f32 sum_of(const f32* of_first_warp, int pitch) const {
    f32 x = *of_first_warp;
    for (int w = 1; w < Tile::position_warps; ++w) x += of_first_warp[w * Tile::rows * pitch];
    return x;
  }
};

}  // namespace detail

/// grid: parts · tiles of rows · batch · key heads. Blocks of positions that no query of the tile sees are not read.
/// Source: Dao, arXiv 2307.08691 (order of the loops); Dao et al., "Flash-Decoding", 2023 (parts).
template <class Tile, class Y, class Q>
__global__ __launch_bounds__(Tile::threads, Tile::resident) void attention_tiles(AttentionView<Y, Q, bf16> a) {
  wait_for_previous_kernel();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int column_warp = warp % Tile::column_warps, position_warp = warp / Tile::column_warps % Tile::position_warps,
            row_warp = warp / (Tile::column_warps * Tile::position_warps);
  const AttentionBlock block(a, blockIdx.x);
  if (block.is_done(a)) return;

  auto* const queries = reinterpret_cast<bf16*>(shared_memory());
  bf16* const stages = queries + Tile::query_terms * Tile::query_size;
  const bf16* const keys = a.keys + block.first_position(a) * a.key_line + block.key_head * a.key_width;
  const bf16* const values = a.values + block.first_position(a) * a.value_line + block.key_head * a.value_head;
  const auto load = [&](index_t step) {
    const index_t at = block.part.begin + step * Tile::together;
    if (at < block.part.end) {
      bf16* const to = stages + step % Tile::stages * Tile::stage;
      detail::copy_positions<Tile, Tile::key_width, Tile::key_pitch>(keys, a.key_line, a.key_width, at, block.part.end,
                                                                     to);
      if constexpr (!Tile::values_in_keys)
        detail::copy_positions<Tile, Tile::value_width, Tile::value_pitch>(values, a.value_line, a.value_width, at,
                                                                           block.part.end, to + Tile::value_offset);
    }
    commit_copies();
  };
  for (int s = 0; s < Tile::stages - 1; ++s) load(s);
  detail::load_queries<Tile>(a, block.b, block.key_head, block.first_row, queries);

  const detail::AttentionSight<Tile> sight(a, block, row_warp);
  const Scores<Tile::weight_terms == 1> to_score(a);
  detail::AttentionSums<Tile> sums;
  const index_t steps = ceil_div(block.part.size(), Tile::together);
  for (index_t step = 0; step < steps; ++step) {
    wait_for_copies<Tile::stages - 2>();
    __syncthreads();
    load(step + Tile::stages - 1);
    const bf16* const stage = stages + step % Tile::stages * Tile::stage;
    const int first = position_warp * Tile::positions;
    const index_t at = block.part.begin + step * Tile::together + first;
    detail::AttentionScores<Tile> score = {};
    detail::multiply_keys<Tile>(queries + row_warp * Tile::row_tiles * 16 * Tile::key_pitch,
                                stage + first * Tile::key_pitch, score);
    sight.score(to_score, at, score);
    detail::add_weights<Tile>(score, sums);
    detail::multiply_values<Tile>(
        score, stage + Tile::value_offset + first * Tile::value_pitch + column_warp * Tile::columns, sums);
  }
  let_next_kernel_start();
  sums.finish();
  if constexpr (Tile::position_warps == 1) {
    detail::store_sums(a, block, sums, row_warp, column_warp);
  } else {
    detail::AttentionExchange<Tile> exchange(shared_memory());
    exchange.put(sums, row_warp, position_warp, column_warp);
    for (int r = warp; r < Tile::rows && block.first_row + r < a.rows(); r += Tile::threads / 32) {
      const AttentionLine line(a, block, block.first_row + r, exchange.sum_of(exchange.weight + r, 1),
                               exchange.largest_of(r));
      if (lane == 0) line.store_weight();
      for (int c = lane; c < a.value_width; c += 32)
        line.store(c, exchange.sum_of(exchange.value + r * Tile::value_width + c, Tile::value_width));
    }
  }
}

}  // namespace tess::cuda
