// Product: what kernels are told of x · w: one matrix, one for each head, or one for each expert's rows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base.hpp"

namespace tess::cuda {

/// y = x · w with sums in f32, rounded once where Y is bf16. X and Y are f32 or bf16. W is Weights<E> [count, K, N],
/// rows at multiples of 16 bytes, or EmbeddingRows, of which `rounded` [V, D] is one matrix with K = D and N = V.
/// - Without offsets, matrix i multiplies all rows: x [rows, K] at x + i · x_step, y [rows, N] at y + i · y_step. One
/// matrix: i = 0; heads: one each.
/// - With offsets (i32 [count + 1], in GPU memory, ascending), matrix i multiplies rows offsets[i] … offsets[i + 1] of
/// x and y. `rows` bounds offsets[count]; rows from there on are neither read nor written.
/// Elements of x and y lie at any multiple of their size; ldx and ldy are the elements from row to row.
template <class X, class W, class Y>
struct Product {
  const X* x = nullptr;
  index_t ldx = 0, x_step = 0;
  W w;
  Y* y = nullptr;
  index_t ldy = 0, y_step = 0;
  index_t rows = 0;
  const i32* offsets = nullptr;
  Terms terms = Terms::two;  // of bf16, for an f32 activation by bf16 or int8 weights
};

/// Extents of the matrices of a product, whatever their form.
template <class E>
constexpr index_t matrices(const Weights<E>& w) {
  return w.count;
}
template <class E>
constexpr index_t contracted(const Weights<E>& w) {
  return w.rows;
}
template <class E>
constexpr index_t results(const Weights<E>& w) {
  return w.columns;
}
constexpr index_t matrices(const EmbeddingRows&) { return 1; }
constexpr index_t contracted(const EmbeddingRows& w) { return w.width; }
constexpr index_t results(const EmbeddingRows& w) { return w.vocabulary; }

/// Whether w may be read before the kernel ahead has ended.
template <class E>
constexpr bool lasts(const Weights<E>& w) {
  return w.lasting;
}
constexpr bool lasts(const EmbeddingRows&) { return true; }

/// Rows that a matrix meets on average, at most.
template <class X, class W, class Y>
constexpr index_t rows_a_matrix(const Product<X, W, Y>& p) {
  return p.offsets && matrices(p.w) > 0 ? ceil_div(p.rows, matrices(p.w)) : p.rows;
}

}  // namespace tess::cuda
