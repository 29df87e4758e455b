// attention_hopper: softmax(q · k) · v for prompts, on the tensor cores of Hopper (sm_90a).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "attention_tiles.hpp"
#include "isa_hopper.hpp"

namespace tess::cuda {

/// Two warpgroups of 64 rows each; queries, weights and sums are in registers, 64 positions at a time in shared memory. While
/// the tensor cores multiply the next keys, the warps turn the last scores into weights.
///   Registers: sums 64, queries 32, two blocks of scores 2 · 32, weights 16. Tensor cores: 64 positions take 128 rows
/// 512 cycles; the multiprocessor's 16 special functions a cycle take 512 for each that a score needs: one, or two with a
/// cap.
template <bool ValuesInKeys>
struct HopperAttention : AttentionTile<128, 128, ValuesInKeys, 8, 1, 1, 1, 64, 4, 1, 1> {
  static constexpr int box = 64 * 128;  // bytes: 64 positions of 64 columns
  static constexpr int value_offset = ValuesInKeys ? 0 : 2 * box, stage = value_offset + 2 * box;
  static constexpr index_t shared = 4 * stage;
};

namespace detail {

/// Rows of queries as operand A: [16 columns each][4].
template <class Tile, class View>
__device__ inline void load_queries(const View& a, const AttentionBlock& block, int row_warp,
                                    std::uint32_t (&x)[Tile::key_width / 16][4]) {
  const index_t t = threadIdx.x % 4;
  each_row<Tile>(row_warp, [&](int, int h, int r) {
    const bool is_row = block.first_row + r < a.rows();
    const auto* const q =
        a.q + (is_row ? a.line_of(block.b, block.key_head, block.first_row + r) * a.key_width : 0) + 2 * t;
#pragma unroll
    for (int depth = 0; depth < Tile::key_width; depth += 8) {
      const bool there = is_row && depth + 2 * t < a.key_width;
      x[depth / 16][h + depth / 8 % 2 * 2] =
          there ? pack_bf16(static_cast<f32>(q[depth]), static_cast<f32>(q[depth + 1])) : 0u;
    }
  });
}

/// As copy_positions, to two boxes of 64 columns, swizzled.
template <class Tile>
__device__ inline void copy_swizzled(const bf16* from, index_t line, index_t width, index_t at, index_t end,
                                     std::byte* to) {
#pragma unroll
  for (int i = 0; i < Tile::together * 16 / Tile::threads; ++i) {
    const int chunk = static_cast<int>(threadIdx.x) % 16,
              p = static_cast<int>(threadIdx.x) / 16 + i * (Tile::threads / 16);
    const bool there = at + p < end && 8 * chunk < width;
    copy_async(to + chunk / 8 * Tile::box + p * 128 + (chunk % 8 ^ p % 8) * 16,
               there ? from + (at + p) * line + 8 * chunk : from, there);
  }
}

}  // namespace detail

/// grid: as attention_tiles. Source: Shah et al., arXiv 2407.08608 (products of the next block beside the softmax).
template <class Tile, class Y, class Q>
__global__ void __launch_bounds__(Tile::threads, 1) attention_hopper(AttentionView<Y, Q, bf16> a) {
#if TESS_HAS_HOPPER_ISA
  wait_for_previous_kernel();
  const int row_warp = static_cast<int>(threadIdx.x) / 32;
  const AttentionBlock block(a, blockIdx.x);
  if (block.is_done(a)) return;

  std::byte* const stages = shared_memory();
  const bf16* const keys = a.keys + block.first_position(a) * a.key_line + block.key_head * a.key_width;
  const bf16* const values = a.values + block.first_position(a) * a.value_line + block.key_head * a.value_head;
  const auto load = [&](index_t step) {
    const index_t at = block.part.begin + step * Tile::together;
    if (at < block.part.end) {
      std::byte* const to = stages + step % Tile::stages * Tile::stage;
      detail::copy_swizzled<Tile>(keys, a.key_line, a.key_width, at, block.part.end, to);
      if constexpr (!Tile::values_in_keys)
        detail::copy_swizzled<Tile>(values, a.value_line, a.value_width, at, block.part.end, to + Tile::value_offset);
    }
    commit_copies();
  };
  std::uint32_t queries[Tile::key_width / 16][4];
  const auto multiply_keys = [&](index_t step, float(&product)[32]) {
    const std::byte* const stage = stages + step % Tile::stages * Tile::stage;
#pragma unroll
    for (float& p : product) p = 0;
    begin_batch();
#pragma unroll
    for (int depth = 0; depth < Tile::key_width; depth += 16)
      multiply_add_async(product, queries[depth / 16], operand_b(stage + depth / 64 * Tile::box, depth % 64));
    commit_batch();
  };
  const auto arrived = [] {
    publish_writes();
    __syncthreads();
  };

  for (int s = 0; s < Tile::stages - 1; ++s) load(s);
  detail::load_queries<Tile>(a, block, row_warp, queries);
  const detail::AttentionSight<Tile> sight(a, block, row_warp);
  const Scores<true> to_score(a);
  detail::AttentionSums<Tile> sums;
  auto& value = reinterpret_cast<float(&)[64]>(sums.value);
  detail::AttentionScores<Tile> score, next;
  const index_t steps = ceil_div(block.part.size(), Tile::together);
  wait_for_copies<Tile::stages - 2>();
  arrived();
  multiply_keys(0, reinterpret_cast<float(&)[32]>(score));
  wait_for_batches<0>();
  for (index_t step = 0; step < steps; ++step) {
    const bool more = step + 1 < steps;
    if (more) {
      wait_for_copies<Tile::stages - 3>();
      arrived();  // and nobody reads the stage before this one any more
      load(step + Tile::stages - 1);
      multiply_keys(step + 1, reinterpret_cast<float(&)[32]>(next));
    }
    sight.score(to_score, block.part.begin + step * Tile::together, score);
    detail::add_weights<Tile>(score, sums);
    std::uint32_t weights[Tile::together / 16][4];
#pragma unroll
    for (int i = 0; i < 4 * (Tile::together / 16); ++i) {
      const f32* const w = score[0][i / 2] + i % 2 * 2;
      weights[i / 4][i % 4] = pack_bf16(w[0], w[1]);
    }
    const std::byte* const positions = stages + step % Tile::stages * Tile::stage + Tile::value_offset;
    begin_batch();
#pragma unroll
    for (int depth = 0; depth < Tile::together; depth += 16)
      multiply_add_transposed_async(value, weights[depth / 16],
                                    operand_b_transposed(positions + depth * 128, Tile::box));
    commit_batch();
    wait_for_batches<0>();
    if (more)
#pragma unroll
      for (int n = 0; n < Tile::together / 8; ++n)
#pragma unroll
        for (int j = 0; j < 4; ++j) score[0][n][j] = next[0][n][j];
  }
  let_next_kernel_start();
  sums.finish();
  detail::store_sums(a, block, sums, row_warp, 0);
#endif
}

}  // namespace tess::cuda
