// LowRank: a projection in two steps, down to a few columns, which are normalised, and up again.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "linear.hpp"

namespace tess::nn {

/// x [..., K] -> f32 [..., N]: norm(x · down) · up with down [K, R] and up [R, N]; both sums are finished, and N lies
/// as up's columns do. Down and Up are Linear, Norm is RMSNorm or its like. Strategy: that of `down`, for both.
/// Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.2 (query compression).
template <class Down, class Norm, class Up>
struct LowRank {
  using strategy = or_stationary<typename Down::strategy>;
  Down down{};
  Norm norm{};
  Up up{};

  template <class D, class X, class How = strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    return project<projected_spec<X, decltype(up.weight)>>(dev, *this, x, how);
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    down.parameters(scope / "down", f);
    norm.parameters(scope / "norm", f);
    up.parameters(scope / "up", f);
  }
};

namespace detail {
/// The weight whose columns a projection's result has.
template <class L>
struct last_weight {
  using type = decltype(L::weight);
};
template <class Down, class Norm, class Up>
struct last_weight<LowRank<Down, Norm, Up>> {
  using type = decltype(Up::weight);
};

/// `Out` with W's columns last.
template <class Out, class X, class W>
struct narrowed {
  static constexpr SpecValue value = [] {
    const DimAxes columns = W::sharding[W::rank - 1];
    SpecValue s = spec_value<Out, typename X::mesh, X::rank>.without(columns.mask());
    s[s.rank - 1] = columns;
    return s;
  }();
};
}  // namespace detail

/// From any spec of x to `Out`, as `project` of a Linear; the few columns between lie as Out's batch does.
template <AnySpec Out, class D, class Down, class Norm, class Up, AnyTensor X,
          class How = typename LowRank<Down, Norm, Up>::strategy>
constexpr auto project(D& dev, const LowRank<Down, Norm, Up>& l, const X& x, How how = {}) {
  using Few = spec_type<typename X::mesh, detail::narrowed<Out, X, decltype(Down::weight)>>;
  return project<Out>(dev, l.up, l.norm(dev, project<Few>(dev, l.down, x, how)), how);  // [..., R] -> [..., N]
}

}  // namespace tess::nn
