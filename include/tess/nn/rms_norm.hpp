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

/// h + norm(a), a [..., D] and the residual stream h of one sharding: one pass over the rows on a device that has it.
template <class D, AnyTensor H, AnyTensor A, class Scale, class Y>
constexpr H add_normed(D& dev, const H& h, const A& a, const RMSNorm<Scale, Y>& norm) {
  return add_rms_norm(dev, h, a, norm.scale, norm.eps);
}
/// The same, and next(h + norm(a)): {sum, normed}.
template <class D, AnyTensor H, AnyTensor A, class Scale, class Y, class NextScale, class Z>
constexpr auto add_normed(D& dev, const H& h, const A& a, const RMSNorm<Scale, Y>& norm,
                          const RMSNorm<NextScale, Z>& next) {
  return add_rms_norms<Z>(dev, h, a, norm.scale, next.scale, norm.eps, next.eps);
}

}  // namespace tess::nn
