// stream_product: x · w for few rows, bound by reading w once; gate and up in one kernel, down with its combine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <limits>

#include "padded_rows.hpp"
#include "stream_kernel.hpp"

namespace tess::cuda {

namespace stream {

template <class S, class X, class W>
constexpr index_t shared_bytes() {
  constexpr index_t ring = index_t{S::warps} * S::stages * (weight_bytes + S::row_tiles * activation_bytes<X>);
  constexpr index_t sums =
      index_t{S::k_warps} * S::rows * (tile_columns<S, W> + 4) * static_cast<index_t>(sizeof(float));
  return std::max(ring, sums);
}

/// Groups of scales along K, of which a shard has rows.
template <class E>
index_t scale_groups(const Weights<E>& w) {
  return Weights<E>::has_scales ? w.groups : 1;
}
inline index_t scale_groups(const EmbeddingRows&) { return 1; }

template <class S, class X, class W, class Y, class Finish>
void run(Gpu& gpu, const Product<X, W, Y>& p, const W& second, const Finish& finish) {
  constexpr index_t own_columns = tile_columns<S, W> / Finish::operands;
  Task<X, W, Finish::operands> task{};
  task.x = p.x, task.ldx = p.ldx, task.x_step = p.offsets ? 0 : p.x_step;
  task.w[0] = p.w;
  if constexpr (Finish::operands == 2) task.w[1] = second;
  const auto number = [](index_t n) { return static_cast<int>(n); };
  task.chunks = {.matrices = number(matrices(p.w)), .rows = number(p.rows), .offsets = p.offsets, .size = S::rows};
  const index_t steps = std::max<index_t>(1, ceil_div(contracted(p.w), step_rows)),
                column_tiles = ceil_div(results(p.w), own_columns), units = task.chunks.bound() * column_tiles * steps;
  if (units > std::numeric_limits<int>::max())
    fail("[matmul] ", p.rows, " rows by ", matrices(p.w), " matrices of ", contracted(p.w), " x ", results(p.w),
         " are more than a streaming product counts");
  task.steps = number(steps), task.column_tiles = number(column_tiles);
  task.two_terms = p.terms == Terms::two, task.early = !p.offsets && lasts(p.w) && lasts(second);
  task.least_units = S::k_warps * S::stages;  // less than what a block copies at once would be waiting in many places
  const index_t grid = std::clamp<index_t>(units / task.least_units, 1, index_t{gpu.multiprocessors()} * S::blocks);
  const auto parts = gpu.scratch<f32>(2 * grid * S::rows * tile_columns<S, W>);
  task.parts = parts.get();
  task.arrivals = gpu.counters();
  if (grid + task.column_tiles > Gpu::counter_count)
    fail("[matmul] ", results(p.w), " columns are more than a streaming product has counters for");
  gpu.run(stream_kernel<S, Finish, X, W>,
          {.grid = blocks(grid), .block = dim3(S::threads), .shared = shared_bytes<S, X, W>(), .overlaps = true}, task,
          finish);
}

/// Bytes of weights from which a product has tiles enough for wide ones.
inline constexpr index_t wide_bytes = 16 << 20;

/// Chooses how many rows of x are multiplied together: those that are there, or where they are grouped by matrix twice
/// the mean, so that few matrices are read again.
template <class X, class W, class Y, class Finish>
void run(Gpu& gpu, Product<X, W, Y> p, const W& second, const Finish& finish) {
  if (p.rows == 0 || matrices(p.w) == 0 || results(p.w) == 0) return;
  const auto padded = make_chunks_whole(gpu, p);
  const index_t rows = p.offsets ? std::min(p.rows, 2 * rows_a_matrix(p)) : p.rows;
  const auto run_if_fits = [&]<class S>(S) {
    const bool fits = shared_bytes<S, X, W>() <= gpu.shared_limit();
    if (fits) run<S>(gpu, p, second, finish);
    return fits;
  };
  if constexpr (std::is_same_v<W, Weights<f32>>) {
    if (rows > 8 && run_if_fits(Shape<4, 4, false>{})) return;
    run<Shape<1, 2, false>>(gpu, p, second, finish);
  } else {
    if constexpr (std::is_same_v<W, Weights<std::int8_t>>)
      if (std::max(scale_groups(p.w), scale_groups(second)) > 1) {
        if (rows > 8 && run_if_fits(Shape<2, 4, true>{})) return;
        return run<Shape<1, 2, true>>(gpu, p, second, finish);
      }
    if (rows > 16 && run_if_fits(Shape<4, 4, false>{})) return;
    if (rows > 8 && run_if_fits(Shape<2, 4, false>{})) return;
    if constexpr (std::is_same_v<Finish, Store<Y>>) {
      constexpr auto element = static_cast<index_t>(std::is_same_v<W, Weights<std::int8_t>> ? 1 : 2);
      const index_t used = p.offsets ? std::min(matrices(p.w), p.rows) : matrices(p.w);
      if (used * contracted(p.w) * results(p.w) * element < wide_bytes)
        return run<Shape<1, 2, false>>(gpu, p, second, finish);
    }
    run<Shape<1, 4, false>>(gpu, p, second, finish);
  }
}

}  // namespace stream

/// y = x · w, any number of rows, of which at most 32 share one reading of w. Sums are taken in one order, which
/// depends on the extents, the offsets and the GPU.
template <class X, class W, class Y>
void stream_product(Gpu& gpu, const Product<X, W, Y>& p) {
  stream::run(gpu, p, p.w, stream::Store<Y>{p.y, p.ldy, p.offsets ? 0 : p.y_step});
}

/// y = f(x · p.w, x · up), with or without offsets; one matrix without.
template <class X, class W, class Y, class F>
void stream_gated_product(Gpu& gpu, const Product<X, W, Y>& p, const W& up, const F& f) {
  stream::run(gpu, p, up, stream::Gate<Y, F>{p.y, p.ldy, f});
}

/// Choices of tokens: which row of the product each is (-1: none), and its weight. [tokens, choices]
struct WeightedRows {
  const i32* positions = nullptr;
  const f32* weights = nullptr;
  index_t tokens = 0, choices = 0;
};

/// y [tokens, N] = for every token the sum over its choices, in order, of weight · (row of x · w). p.y is not used.
template <class X, class W, class Y>
void stream_combined_product(Gpu& gpu, const Product<X, W, Y>& p, Y* y, const WeightedRows& of) {
  const index_t N = results(p.w);
  const auto rows = gpu.scratch<f32>(p.rows * N);
  stream::run(gpu, p, p.w, stream::Combine<Y>{y, rows.get(), of.positions, of.weights, of.tokens, of.choices, N});
}

}  // namespace tess::cuda
