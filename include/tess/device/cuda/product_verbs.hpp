// Verbs of Cuda: products with weights; of heads; of rows grouped by expert; gate and up in one, down with its combine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "expert_rows.hpp"
#include "indexing.hpp"
#include "stream_product.hpp"
#include "tile_gated_product.hpp"

namespace tess::cuda {

/// Up to as many rows a matrix wait for the weights, more for the tensor cores (H200, int8: one reading of w at 4.3
/// TB/s is as long as 2 · 32 · 2 FLOP a byte at 550 TFLOP/s).
inline constexpr index_t few_rows = 32;

/// y = x · w by the kernel for as many rows. f32 weights are multiplied in f32, by one kernel.
template <class X, class W, class Y>
void product(Gpu& gpu, const Product<X, W, Y>& p) {
  if constexpr (std::is_same_v<W, Weights<f32>>) stream_product(gpu, p);
  else if (rows_a_matrix(p) <= few_rows) stream_product(gpu, p);
  else tile_product(gpu, p);
}

/// y = f(y, up) of rows [N]; those from *end on are left alone.
template <class F>
__global__ void gate_rows(const F f, f32* y, const f32* up, index_t N, const i32* end) {
  follow_previous_kernel();
  const index_t row = blockIdx.x;
  if (end && row >= *end) return;
  for (index_t n = row * N + threadIdx.x; n < (row + 1) * N; n += blockDim.x) y[n] = static_cast<f32>(f(y[n], up[n]));
}

/// y = f(x · p.w, x · up) of f32 [rows, N] whose rows lie together. One matrix, or rows grouped by matrix.
template <class X, class W, class F>
void gated_product(Gpu& gpu, Product<X, W, f32> p, const W& up, const F& f) {
  if (std::is_same_v<W, Weights<f32>> || rows_a_matrix(p) <= few_rows) return stream_gated_product(gpu, p, up, f);
  if (tile_gated_product(gpu, p, up, f)) return;
  const index_t N = results(p.w);
  const auto of_up = gpu.scratch<f32>(p.rows * N);
  product(gpu, p);
  Product<X, W, f32> second = p;
  second.w = up, second.y = of_up.get();
  product(gpu, second);
  gpu.run(gate_rows<F>, {.grid = blocks(p.rows), .block = dim3(256), .overlaps = true}, f, p.y, of_up.get(), N,
          p.offsets ? p.offsets + matrices(p.w) : nullptr);
}

/// `Self` is the device.
template <class Self>
class ProductVerbs {
 public:
  template <AnyTensor Y, AnyTensor X, AnyTensor W>
  void matmul(Y& y, const X& x, const W& w) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, w, r, [&](const auto& matrix) { product(gpu, of(y, x, matrix, r)); });
    });
  }

  /// x by the rows of a table: [..., D] · [V, D] transposed.
  template <AnyTensor Y, AnyTensor X, AnyTensor Table>
  void matmul_rows(Y& y, const X& x, const Table& table) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) { product(gpu, of(y, x, table.storage().embedding(r), r)); });
  }

  template <AnyTensor Y, AnyTensor X, AnyTensor W, AnyTensor Offsets>
  void grouped_matmul(Y& y, const X& x, const W& w, const Offsets& offsets) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, w, r, [&](const auto& matrices) { product(gpu, grouped(of(y, x, matrices, r), offsets, r)); });
    });
  }

  /// Heads lie side by side in x and y, and stay there.
  template <AnyTensor Y, AnyTensor X, AnyTensor W>
  void matmul_heads(Y& y, const X& x, const W& w) {
    const index_t heads = x.local_extent(2), k = x.local_extent(3), n = y.local_extent(3);
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, w, r, [&](const auto& matrices) {
        auto p = of(y, x, matrices, r);
        p.ldx = heads * k, p.x_step = k, p.ldy = heads * n, p.y_step = n;
        p.rows = x.local_extent(0) * x.local_extent(1);
        product(gpu, p);
      });
    });
  }

  /// y = f(x·gate, x·up), f32 [..., N].
  template <AnyTensor Y, AnyTensor X, AnyTensor G, AnyTensor U, class F>
  requires std::is_same_v<typename G::value_type, typename U::value_type>
  void gated_matmul(Y& y, const X& x, const G& gate, const U& up, const F& f) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, gate, r, [&](const auto& first) {
        with_weights(gpu, up, r, [&](const auto& second) { gated_product(gpu, of(y, x, first, r), second, f); });
      });
    });
  }
  /// The same of rows grouped by expert.
  template <AnyTensor Y, AnyTensor X, AnyTensor G, AnyTensor U, AnyTensor Offsets, class F>
  requires std::is_same_v<typename G::value_type, typename U::value_type>
  void grouped_gated_matmul(Y& y, const X& x, const G& gate, const U& up, const Offsets& offsets, const F& f) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, gate, r, [&](const auto& first) {
        with_weights(gpu, up, r, [&](const auto& second) {
          gated_product(gpu, grouped(of(y, x, first, r), offsets, r), second, f);
        });
      });
    });
  }

  /// y [B, T, N] = for every token the sum over its choices, in order, of weight · (row of x · w of its expert).
  /// positions and weights [B, T, k], as of dispatch and route; x: rows grouped by expert.
  template <AnyTensor Y, AnyTensor X, AnyTensor W, AnyTensor Offsets, AnyTensor Positions, AnyTensor Shares>
  void grouped_matmul_combine(Y& y, const X& x, const W& w, const Offsets& offsets, const Positions& positions,
                              const Shares& weights) {
    const index_t tokens = weights.local_extent(0) * weights.local_extent(1), k = weights.local_extent(2),
                  n = y.local_extent(2);
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      with_weights(gpu, w, r, [&](const auto& matrices) {
        Product<typename X::value_type, std::remove_cvref_t<decltype(matrices)>, f32> p;
        p.x = x.storage().data(r), p.ldx = x.local_extent(1), p.rows = x.local_extent(0), p.ldy = n;
        p.w = matrices, p.terms = self().terms;
        p = grouped(p, offsets, r);
        const i32* position = positions.storage().data(r);
        const f32* share = weights.storage().data(r);
        if (std::is_same_v<decltype(p.w), Weights<f32>> || rows_a_matrix(p) <= few_rows) {
          stream_combined_product(gpu, p, y.storage().data(r), {position, share, tokens, k});
        } else {
          const auto rows = gpu.scratch<f32>(p.rows * n);
          p.y = rows.get();
          product(gpu, p);
          combine(gpu, y.storage().data(r), rows.get(), position, share, Choices{.tokens = tokens, .k = k}, n);
        }
      });
    });
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  /// x and y row by row, all rows by the first matrix.
  template <class Y, class X, class W>
  auto of(Y& y, const X& x, const W& w, index_t r) {
    const index_t k = contracted(w);
    Product<typename X::value_type, W, typename Y::value_type> p;
    p.x = x.storage().data(r), p.ldx = k;
    p.w = w;
    p.y = y.storage().data(r), p.ldy = results(w);
    p.rows = rows_of(y);
    p.terms = self().terms;
    return p;
  }
  template <class Y>
  static index_t rows_of(const Y& y) {
    index_t rows = 1;
    for (int d = 0; d < Y::rank - 1; ++d) rows *= y.local_extent(d);
    return rows;
  }
  template <class P, AnyTensor Offsets>
  static P grouped(P p, const Offsets& offsets, index_t r) {
    const index_t experts = offsets.local_extent(0) - 1;
    if (matrices(p.w) != experts)
      fail("[matmul] rows are grouped for ", experts, " experts, and there are weights of ", matrices(p.w),
           " (MoELayer's expert_count)");
    p.offsets = offsets.storage().data(r);
    return p;
  }

  /// f(the matrices of a rank), of a tensor [K, N] or [count, K, N]; those of a plain one are copied where their rows
  /// are not words of 16 bytes.
  template <class W, class F>
  static void with_weights(Gpu& gpu, const W& w, index_t r, F f) {
    using E = typename W::value_type;
    if constexpr (is_packed<E>) {
      f(w.storage().weights(r));
    } else {
      Weights<E> matrices;
      matrices.data = w.storage().data(r);
      matrices.count = W::rank == 3 ? w.local_extent(0) : 1;
      matrices.rows = w.local_extent(W::rank - 2), matrices.columns = w.local_extent(W::rank - 1);
      matrices.pitch = ceil_div(matrices.columns, elements_per_word<E>) * elements_per_word<E>;
      std::shared_ptr<E> copy;
      if (matrices.pitch != matrices.columns) {
        copy = padded_copy(gpu, matrices.data, matrices.columns, matrices.rows * matrices.columns, matrices.count,
                           matrices.rows, matrices.columns);
        matrices.data = copy.get();
      }
      f(matrices);
    }
  }
};

}  // namespace tess::cuda
