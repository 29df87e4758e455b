// RMSNorm: root-mean-square normalisation with a plain scale.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/rms_norm.hpp"
#include "parameters.hpp"

namespace tess::nn {

/// x [..., D] -> Y [..., D] under x's spec; scale f32 [D]. Statistics in f32. Where D is sharded, one all-reduce of an
/// f32 a row.
/// Source: Zhang and Sennrich, arXiv 1910.07467.
template <AnyTensor Scale, class Y = f32>
struct RMSNorm {
  Scale scale{};
  f32 eps = 1e-5f;

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return rms_norm_sharded<Y>(dev, x, scale, eps);
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "scale", scale);
  }
};

}  // namespace tess::nn
