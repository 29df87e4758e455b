// gated: f(x·gate, x·up), the hidden layer of a gated feed-forward block; one kernel where the device has one for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "experts.hpp"

namespace tess {

namespace detail {
/// The two products are finished where they are computed, and the device takes them in one: `gated_matmul`, or for grouped
/// rows `grouped_gated_matmul`.
template <class D, class X, class G, class U, class F, class Y>
constexpr bool computes_gated_at_once() {
  if constexpr (AnyGrouped<X>) {
    using R = decltype(Y::rows);
    return R::sharding.partial == 0 && requires(D & dev, R & y, const X& x, const G& gate, const U& up, F f) {
      dev.grouped_gated_matmul(y, x.rows, gate, up, x.offsets, f);
    };
  } else {
    return Y::sharding.partial == 0 && requires(D & dev, Y & y, const X& x, const G& gate, const U& up, F f) {
      dev.gated_matmul(y, x, gate, up, f);
    };
  }
}
}  // namespace detail

/// x [..., K] or rows grouped by expert, gate and up [K, N] or [E, K, N] -> f(x·gate, x·up), f32 [..., N], f of two numbers.
/// Specs: of the products, finished. Bytes: the products' sums, where they are pending.
/// Source: Shazeer, arXiv 2002.05202.
template <class D, class X, AnyTensor G, AnyTensor U, class F>
constexpr auto gated(D& dev, const X& x, const G& gate, const U& up, F f) {
  using Y = decltype(matmul(dev, x, gate));
  if constexpr (std::is_same_v<Y, decltype(matmul(dev, x, up))> && detail::computes_gated_at_once<D, X, G, U, F, Y>()) {
    const auto fits = [](const auto& rows, const auto& w) {
      return rows.extent(rows.rank - 1) == w.extent(w.rank - 2);
    };
    if constexpr (AnyGrouped<X>) {
      if (fits(x.rows, gate) && fits(x.rows, up) && gate.extent(2) == up.extent(2)) {
        using R = decltype(Y::rows);
        R y = make<R>(dev, Extents<typename R::shape>::from({x.rows.extent(0), gate.extent(2)}));
        dev.grouped_gated_matmul(y, x.rows, gate, up, x.offsets, f);
        return detail::regroup(std::move(y), x);
      }
    } else {
      if (fits(x, gate) && fits(x, up) && gate.extent(1) == up.extent(1)) {
        Y y = make<Y>(dev, detail::extents_with_last<typename Y::shape>(x.extents(), gate.extent(1)));
        dev.gated_matmul(y, x, gate, up, f);
        return y;
      }
    }
  }
  const auto g = reduce(dev, matmul(dev, x, gate));
  const auto u = reduce(dev, matmul(dev, x, up));
  return map<f32>(dev, f, g, u);
}

}  // namespace tess
