// attention: how one call on one shard is cut into blocks, and which kernel they run.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>

#include "attention_exact.hpp"
#include "attention_hopper.hpp"
#include "attention_tiles.hpp"
#include "base.hpp"
#include "indexing.hpp"

namespace tess::cuda {

namespace detail {
/// Rows of which several blocks have seen parts of the positions: grid: rows · batch · key heads. A warp adds up every
/// eighth part, a lane four columns of it.
template <class Y, class Q, class C>
__global__ __launch_bounds__(256) void add_attention_parts(AttentionView<Y, Q, C> a) {
  follow_previous_kernel();
  constexpr int warps = 8, columns = 128;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const unsigned rows = static_cast<unsigned>(a.rows()), head_of_batch = blockIdx.x / rows;
  const index_t row = blockIdx.x - head_of_batch * rows;
  AttentionBlock block(a, head_of_batch, static_cast<unsigned>(row) / static_cast<unsigned>(a.tile_rows), 0);
  if (block.parts <= 1) return;  // then its block has written the result
  const auto parts = static_cast<int>(block.parts);
  const index_t at = ((block.b * a.key_heads + block.key_head) * a.rows() + row) * a.splits;
  const f32* const of_part = a.weights + 2 * at;

  auto* const sums = reinterpret_cast<f32*>(shared_memory());  // [warps, columns]
  f32* const factor = sums + warps * columns;                  // [parts]
  f32 largest = -std::numeric_limits<f32>::infinity(), weight = 0;
  for (int p = lane; p < parts; p += 32) largest = fmaxf(largest, of_part[2 * p]);
  for (int apart = 16; apart > 0; apart /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, apart));
  for (int p = lane; p < parts; p += 32) {
    const f32 f = of_part[2 * p + 1] > 0 ? exp2f(of_part[2 * p] - largest) : 0.0f;
    weight += of_part[2 * p + 1] * f;
    if (warp == 0) factor[p] = f;
  }
  for (int apart = 16; apart > 0; apart /= 2) weight += __shfl_xor_sync(0xffffffffu, weight, apart);
  block.parts = 1;
  const AttentionLine line(a, block, row, weight, largest);

  for (index_t first = 0; first < a.value_width; first += columns) {
    __syncthreads();
    f32 sum[4] = {};
    const index_t column = first + 4 * lane;
    const int width = static_cast<int>(std::clamp<index_t>(a.value_width - column, 0, 4));
#pragma unroll 4
    for (int p = warp; p < parts; p += warps) {
      const f32* const from = a.sums + (at + p) * a.value_width + column;
      if (width == 4 && a.value_width % 4 == 0) {
        const Words x = *reinterpret_cast<const Words*>(from);
        for (int i = 0; i < 4; ++i) sum[i] += factor[p] * __uint_as_float(x.word[i]);
      } else {
        for (int i = 0; i < 4; ++i)
          if (i < width) sum[i] += factor[p] * from[i];
      }
    }
    for (int i = 0; i < 4; ++i) sums[warp * columns + 4 * lane + i] = sum[i];
    __syncthreads();
    if (thread < columns && first + thread < a.value_width) {
      f32 all = 0;
      for (int w = 0; w < warps; ++w) all += sums[w * columns + thread];
      line.store(first + thread, all);
    }
  }
}

/// `resident`: blocks that a multiprocessor holds at a time.
template <class Y, class Q, class C>
void launch_attention(Gpu& gpu, void (*kernel)(AttentionView<Y, Q, C>), AttentionView<Y, Q, C> a, int threads,
                      index_t shared, index_t rows, index_t least_part, index_t resident) {
  a.tile_rows = rows, a.together = least_part;
  const index_t tiles = ceil_div(a.rows(), rows), blocks_without = tiles * a.batch * a.key_heads,
                slots = gpu.multiprocessors() * resident;
  if (blocks_without == 0) return;
  // few blocks: exactly as many as run at once; more: some rounds of small ones, since rows differ in length
  a.splits = blocks_without * 4 <= slots  ? slots / blocks_without
             : blocks_without < 3 * slots ? ceil_div(3 * slots, blocks_without)
                                          : 1;
  a.splits = std::clamp<index_t>(a.splits, 1, ceil_div(a.capacity, least_part));
  a.tiles = tiles;
  std::shared_ptr<f32> sums, weights;
  const index_t lines = a.batch * a.key_heads * a.rows() * a.splits;
  if (a.splits > 1) {
    sums = gpu.scratch<f32>(lines * a.value_width), weights = gpu.scratch<f32>(2 * lines);
    a.sums = sums.get(), a.weights = weights.get();
  }
  gpu.run(kernel,
          {.grid = blocks(a.splits * blocks_without), .block = blocks(threads), .shared = shared, .overlaps = true}, a);
  if (a.splits > 1)
    gpu.run(add_attention_parts<Y, Q, C>,
            {.grid = blocks(a.rows() * a.batch * a.key_heads),
             .block = blocks(256),
             .shared = static_cast<index_t>(sizeof(f32)) * (8 * 128 + a.splits),
             .overlaps = true},
            a);
}

/// Whether heads of width `Width`, perhaps known only at run time, may be wider than `Above` but not than `Most`.
template <index_t Width, index_t Above, index_t Most>
inline constexpr bool may_be_within = Width == dyn || (Above < Width && Width <= Most);

/// Shared memory that a block has on every GPU since sm_80, in bytes: those of sm_86, 89 and 120 have no more. Source: CUDA
/// programming guide, compute capabilities.
inline constexpr index_t shared_everywhere = 99 << 10;

/// One width of tiles: those of few rows, whose warps share the positions, and those of many, whose warps share the rows;
/// `Small` where a GPU has no room for them.
template <class Few, template <int, int> class Many, class Small, class Y, class Q>
void run_tiles(Gpu& gpu, const AttentionView<Y, Q, bf16>& a, Terms terms) {
  static_assert(Small::shared <= shared_everywhere);
  const auto run = [&]<class Tile>(std::type_identity<Tile>, index_t least_part) {
    if constexpr (Tile::shared > shared_everywhere)
      if (Tile::shared > gpu.shared_limit())
        return launch_attention(gpu, attention_tiles<Small, Y, Q>, a, Small::threads, Small::shared, Small::rows, 128,
                                1);
    launch_attention(gpu, attention_tiles<Tile, Y, Q>, a, Tile::threads, Tile::shared, Tile::rows, least_part,
                     Tile::resident);
  };
  constexpr int query_terms = std::is_same_v<Q, bf16> ? 1 : 2;
  if (a.rows() <= 2 * Few::rows) run(std::type_identity<Few>{}, 128);
  else if (terms == Terms::one) run(std::type_identity<Many<1, 1>>{}, 1024);
  else run(std::type_identity<Many<query_terms, 2>>{}, 1024);
}
}  // namespace detail

/// The kernels by width of a head. Which of their products are sums of two terms: those of few rows always, which wait
/// for memory; those of many as `terms` says.
template <index_t Width, bool ValuesInKeys, class Q>
struct AttentionTiles {
  static constexpr int q = std::is_same_v<Q, bf16> ? 1 : 2;
  using few_64 = AttentionTile<64, 64, ValuesInKeys, 1, 1, 4, 1, 64, 3, q, 2>;
  using few_128 = AttentionTile<128, 128, ValuesInKeys, 1, 1, 4, 1, 64, 3, q, 2>;
  using few_256 = AttentionTile<256, 256, ValuesInKeys, 1, 1, 2, 2, 32, 3, q, 2>;
  using few_576 = AttentionTile<576, 512, true, 2, 1, 2, 2, 32, 2, q, 2>;
  template <int QueryTerms, int WeightTerms>
  using many_64 = AttentionTile<64, 64, ValuesInKeys, 8, 1, 1, 1, 64, 3, QueryTerms, WeightTerms>;
  template <int QueryTerms, int WeightTerms>
  using many_128 = AttentionTile<128, 128, ValuesInKeys, 8, 1, 1, 1, 64, 2, QueryTerms, WeightTerms>;
  template <int QueryTerms, int WeightTerms>
  using many_256 = AttentionTile<256, 256, ValuesInKeys, 4, 1, 1, 1, 32, 2, QueryTerms, WeightTerms>;
  template <int, int>
  using many_576 = few_576;
  using small_64 = AttentionTile<64, 64, ValuesInKeys, 1, 1, 4, 1, 64, 2, q, 2>;
  using small_128 = AttentionTile<128, 128, ValuesInKeys, 1, 1, 4, 1, 64, 2, q, 2>;
  using small_256 = AttentionTile<256, 256, ValuesInKeys, 1, 1, 2, 2, 32, 2, q, 2>;
  using small_576 = AttentionTile<576, 512, true, 1, 1, 1, 4, 16, 2, q, 2>;
};

/// out = softmax(q · keys) · values for one shard. `Width`: the larger of keys' and values' widths where both are known when
/// compiled (1 if tiles cannot have them), or dyn.
/// Caches of bf16: products on tensor cores with f32 sums; q and weights are rounded to one or two terms of bf16. Caches
/// of f32, and widths that are no multiples of 8 or more than 576 (keys) and 256 (values; 512 as columns of the keys):
/// f32 throughout.
template <index_t Width, bool ValuesInKeys, class Y, class Q, class C>
void attention(Gpu& gpu, const AttentionView<Y, Q, C>& a, Terms terms) {
  using Tiles = AttentionTiles<Width, ValuesInKeys, Q>;
  if constexpr (std::is_same_v<C, bf16> && (Width == dyn || Width % 8 == 0)) {
    const index_t width = std::max(a.key_width, ValuesInKeys ? 0 : a.value_width);
    const bool whole_words = a.key_width % 8 == 0 && (ValuesInKeys || a.value_width % 8 == 0);
    if constexpr (detail::may_be_within<Width, 0, 64>)
      if (whole_words && width <= 64)
        return detail::run_tiles<typename Tiles::few_64, Tiles::template many_64, typename Tiles::small_64>(gpu, a,
                                                                                                            terms);
    if constexpr (detail::may_be_within<Width, 64, 128>) {
      using Hopper = HopperAttention<ValuesInKeys>;
      const bool many = a.rows() > 2 * Tiles::few_128::rows;
      if (whole_words && width <= 128 && many && terms == Terms::one && gpu.has_wgmma())
        return detail::launch_attention(gpu, attention_hopper<Hopper, Y, Q>, a, Hopper::threads, Hopper::shared,
                                        Hopper::rows, 1024, 1);
      if (whole_words && width <= 128)
        return detail::run_tiles<typename Tiles::few_128, Tiles::template many_128, typename Tiles::small_128>(gpu, a,
                                                                                                               terms);
    }
    if constexpr (detail::may_be_within<Width, 128, 256>)
      if (whole_words && width <= 256)
        return detail::run_tiles<typename Tiles::few_256, Tiles::template many_256, typename Tiles::small_256>(gpu, a,
                                                                                                               terms);
    if constexpr (ValuesInKeys && detail::may_be_within<Width, 256, 576>)
      if (whole_words && width <= 576 && a.value_width <= 512)
        return detail::run_tiles<typename Tiles::few_576, Tiles::template many_576, typename Tiles::small_576>(gpu, a,
                                                                                                               terms);
  }
  constexpr bool always_tiles = std::is_same_v<C, bf16> && Width != dyn && Width % 8 == 0 && Width <= 256;
  if constexpr (!always_tiles) {
    const auto run = [&]<int Columns>(std::integral_constant<int, Columns>) {
      using Tile = ExactAttention<Columns>;
      detail::launch_attention(gpu, attention_exact<Tile, Y, Q, C>, a, Tile::threads, Tile::shared(a.key_width),
                               Tile::rows, 64, 3);
    };
    if (a.value_width <= 128) run(std::integral_constant<int, 1>{});
    else run(std::integral_constant<int, 4>{});
  }
}

}  // namespace tess::cuda
