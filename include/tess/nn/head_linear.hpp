// HeadLinear: every head by a matrix of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/matmul_heads.hpp"
#include "parameters.hpp"

namespace tess::nn {

/// x [B, T, H, K] (f32 or bf16), weight [H, K, N] (f32, bf16 or q8) -> f32 [B, T, H, N]. No byte moves.
///   P<b, t, h, k> by P<h, k, n> -> P<b, t, h, n, Partial<k>>
template <AnyTensor W>
struct HeadLinear {
  W weight{};

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return matmul_heads(dev, x, weight);
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "w", weight);
  }
};

}  // namespace tess::nn
