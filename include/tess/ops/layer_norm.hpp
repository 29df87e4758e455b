// layer_norm over the last dimension: rows of mean 0 and variance 1, times a scale, plus a bias.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "elementwise.hpp"
#include "reduction.hpp"

namespace tess {

namespace fn {
struct Normalise {
  f32 eps;
  template <class T, class S>
  constexpr auto operator()(T x, T mean, T var, S scale, S bias) const {
    return (x - mean) / math::sqrt(var + T(eps)) * T(scale) + T(bias);
  }
};
}  // namespace fn

/// x [..., D] f32 or bf16, scale [D], bias [D] -> Y [..., D]; mean and variance of a row are taken in f64. Rows are whole
/// on a device: no bytes move. The coarser of rows, scale and bias are sliced. Refused on a pending sum.
/// Source: Ba et al., arXiv 1607.06450.
template <class Y, class D, AnyTensor X, AnyTensor Scale, AnyTensor Bias>
constexpr auto layer_norm(D& dev, const X& x, const Scale& scale, const Bias& bias, f32 eps) {
  using fact = detail::rows_fact<X>;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return reduced_type<with_type<X, Y>>{};
  } else {
    using Moment = detail::Beside<typename X::value_type>;  // of bf16 rows in f32
    const auto mean_of_rows = reduce_lines<Moment, rules::Fold::whole, true, -1>(
        dev, lines::Mean{static_cast<f64>(x.extent(X::rank - 1))}, x);
    const auto var_of_rows = reduce_lines<Moment, rules::Fold::whole, true, -1>(dev, lines::Variance{}, x);
    return map<Y>(dev, fn::Normalise{eps}, x, mean_of_rows, var_of_rows, scale, bias);
  }
}

}  // namespace tess
