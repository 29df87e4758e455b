// tile_product: x · w for many rows, bound by arithmetic; the kernel and its tiles are chosen by what the host knows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "dense_product.hpp"
#include "indexing.hpp"
#include "tile_product_ampere.hpp"
#include "tile_product_hopper.hpp"
#include "tile_terms.hpp"

namespace tess::cuda {

/// y = the sum of `parts` sums [rows, columns], one after the other in memory; rows of y and matrices lie ldy and y_step
/// apart. Always in the same order.
template <class Y>
__global__ void add_parts(Y* y, index_t ldy, index_t y_step, const float* sums, index_t parts, index_t rows,
                          index_t columns) {
  follow_previous_kernel();
  const index_t row = blockIdx.x, matrix = blockIdx.y, step = rows * gridDim.y * columns;
  const float* from = sums + (matrix * rows + row) * columns;
  for (index_t n = threadIdx.x; n < columns; n += blockDim.x) {
    float sum = 0.0f;
    for (index_t part = 0; part < parts; ++part) sum += from[part * step + n];
    y[matrix * y_step + row * ldy + n] = static_cast<Y>(sum);
  }
}

namespace detail {

template <class E>
const Weights<E>& tile_weights(const Weights<E>& w) {
  return w;
}
inline Weights<bf16> tile_weights(const EmbeddingRows& e) {
  Weights<bf16> w;
  w.data = e.rounded, w.count = 1, w.rows = e.width, w.columns = e.vocabulary, w.pitch = e.pitch;
  return w;
}
template <class W>
inline constexpr Order order_of = std::is_same_v<W, EmbeddingRows> ? Order::n_by_k : Order::k_by_n;

/// Few tiles leave multiprocessors idle: then parts of K go to several blocks, at least 8 steps to each, and add_parts
/// adds them up. Grouped rows are many.
inline index_t splits_of(const TileSpace& space, index_t tiles, index_t blocks, index_t steps) {
  if (space.offsets || tiles == 0) return 1;
  return std::clamp<index_t>(blocks / tiles, 1, std::clamp<index_t>(steps / 8, 1, 16));
}

/// Launches the kernel of a shape, in parts of K where that fills the GPU. launch(args of the kernel, grid).
template <class Shape, class E, class Y, class Launch>
void run_tiles(Gpu& gpu, TileProduct<E, Y> p, index_t blocks_together, Launch launch) {
  const index_t tiles = p.space.bound(Shape::rows, Shape::columns);
  p.space.splits = splits_of(p.space, tiles, blocks_together, ceil_div(p.w.rows, Shape::depth));
  const index_t grid = std::min(tiles * p.space.splits, blocks_together);
  if (p.space.splits == 1) return launch(p, blocks(grid));
  const index_t rows = p.space.rows, count = p.space.matrices, columns = p.space.columns;
  const auto sums = gpu.scratch<float>(p.space.splits * count * rows * columns);
  launch(TileProduct<E, float>{p.space, p.x, p.x_pitch, p.x_term, p.w, sums.get(), columns, rows * columns,
                               count * rows * columns},
         blocks(grid));
  gpu.run(add_parts<Y>, {.grid = blocks(rows, count), .block = dim3(256), .overlaps = true}, p.y, p.ldy, p.y_step,
          sums.get(), p.space.splits, rows, columns);
}

template <Order order, int Terms, bool Groups, class E, class Y>
void run_ampere(Gpu& gpu, const TileProduct<E, Y>& p) {
  using Shape = AmpereTile<E, order, Terms, Groups>;
  run_tiles<Shape>(gpu, p, 2 * gpu.multiprocessors(), [&]<class Out>(const TileProduct<E, Out>& q, dim3 grid) {
    gpu.run(tile_product_ampere<E, order, Terms, Groups, Out>,
            {.grid = grid, .block = dim3(Shape::threads), .shared = Shape::shared}, q);
  });
}

/// What tensor copies are told of x, of which they bring [Rows, 64] of a term at a time, and of W.
template <int Terms, int Rows, class P>
TensorMap map_of_terms(const P& p) {
  return tensor_map(p.x, {p.w.rows, p.x_term / p.x_pitch, Terms}, {p.x_pitch, p.x_term}, {64, Rows, 1});
}
template <Order order, class E>
TensorMap map_of_weights(const Weights<E>& w) {
  using Box = hopper::WeightBox<E, order>;
  constexpr bool k_by_n = order == Order::k_by_n;
  return tensor_map(w.data, {k_by_n ? w.columns : w.rows, k_by_n ? w.rows : w.columns, w.count},
                    {w.pitch, w.rows * w.pitch}, {Box::inner, Box::outer, 1});
}

template <Order order, int Terms, int Rows, bool Groups, class E, class Y>
void run_hopper(Gpu& gpu, const TileProduct<E, Y>& p) {
  using Shape = HopperTile<E, Terms, Rows>;
  const TensorMap x = map_of_terms<Terms, Rows>(p), w = map_of_weights<order>(p.w);
  run_tiles<Shape>(gpu, p, gpu.multiprocessors(), [&]<class Out>(const TileProduct<E, Out>& q, dim3 grid) {
    gpu.run(tile_product_hopper<E, order, Terms, Rows, Groups, Out>,
            {.grid = grid, .block = dim3(Shape::threads), .shared = Shape::shared}, x, w, q);
  });
}

/// cuBLASLt, or the kernel for this GPU and its tiles: no more rows than matrices have on average, and few where groups of scales take
/// half the registers.
template <Order order, int Terms, class E, class Y>
void run_tile_product(Gpu& gpu, const TileProduct<E, Y>& p, index_t rows_a_matrix) {
  if (dense_product<order, Terms>(gpu, p)) return;
  const bool hopper = gpu.has_wgmma() && p.w.rows > 0;
  if constexpr (Weights<E>::has_scales)
    if (p.w.groups > 1)
      return hopper ? run_hopper<order, Terms, 64, true>(gpu, p) : run_ampere<order, Terms, true>(gpu, p);
  if (!hopper) run_ampere<order, Terms, false>(gpu, p);
  else if (rows_a_matrix <= 64) run_hopper<order, Terms, 64, false>(gpu, p);
  else run_hopper<order, Terms, 128, false>(gpu, p);
}

/// What the kernels are told of a product.
template <int Terms, class X, class W, class Y>
auto tiles_of(const Product<X, W, Y>& p, const TermRows& x) {
  const auto w = tile_weights(p.w);
  using E = typename std::remove_cvref_t<decltype(w)>::element;
  return TileProduct<E, Y>{.space = {.matrices = w.count, .rows = p.rows, .columns = w.columns, .offsets = p.offsets},
                           .x = x.data,
                           .x_pitch = x.pitch,
                           .x_term = (p.offsets ? 1 : w.count) * p.rows * x.pitch,
                           .w = w,
                           .y = p.y,
                           .ldy = p.ldy,
                           .y_step = p.offsets ? 0 : p.y_step};
}

template <int Terms, class X, class W, class Y>
void tile_product(Gpu& gpu, const Product<X, W, Y>& p) {
  const TermRows x = split_into_terms<Terms>(gpu, p);
  run_tile_product<order_of<W>, Terms>(gpu, tiles_of<Terms>(p, x), rows_a_matrix(p));
}

}  // namespace detail

/// y = x · w (product.hpp) for bf16 and int8 weights, with more rows than the streaming products (stream_product.hpp) read
/// at a time. Sums in f32, in an order that depends on the extents and the GPU, not on the values; a row of y depends on its
/// row of x alone. Dense bf16 weights: cuBLASLt, where it is there. Else on Hopper (sm_90a) the kernel of tile_product_hopper.hpp, elsewhere that of tile_product_ampere.hpp:
/// Blackwell's own tensor core instructions (tcgen05) are not used.
template <class X, class W, class Y>
void tile_product(Gpu& gpu, const Product<X, W, Y>& p) {
  if (p.rows == 0 || results(p.w) == 0 || matrices(p.w) == 0) return;
  if (std::is_same_v<X, bf16> || p.terms == Terms::one) detail::tile_product<1>(gpu, p);
  else if constexpr (!std::is_same_v<X, bf16>) detail::tile_product<2>(gpu, p);
}

}  // namespace tess::cuda
