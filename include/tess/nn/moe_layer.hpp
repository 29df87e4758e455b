// MoELayer: a mixture of experts; every token through its k experts only, grouped by expert, none dropped.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "feed_forward.hpp"
#include "router.hpp"

namespace tess::nn {

namespace detail {
/// How many experts a router's type speaks of; 1 where it does not say.
template <class R>
constexpr index_t declared_experts() {
  if constexpr (requires { R::experts; }) return R::experts == dyn ? 1 : R::experts;
  else return 1;
}
}  // namespace detail

/// x [B, T, D] -> f32 [B, T, D], a pending sum where the experts leave one: the weighted sum of the experts' outputs is
/// linear and is taken on the parts, so that one row a token, not k, crosses devices. The caller finishes it.
/// `Experts` is any network over grouped rows (ops/experts.hpp) with `input_spec<X>`, such as GatedFeedForward.
/// Source: Shazeer et al., arXiv 1701.06538; dropless as in MegaBlocks, arXiv 2211.15841.
template <class R, class Experts>
struct MoELayer {
  R router{};
  Experts experts{};
  index_t expert_count = detail::declared_experts<R>();  // to be set where the type says dyn

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    const auto in = reshard<typename Experts::template input_spec<X>>(dev, x);
    return apply(dev, in, router(dev, in));
  }

  /// The same with routes given, e.g. to force a reference's choices. They lie as tokens of `input_spec<X>` do.
  template <class D, class X, class Routes>
  constexpr auto apply(D& dev, const X& x, const Routes& routes) const {
    const auto in = reshard<typename Experts::template input_spec<X>>(dev, x);
    return combine(dev, experts(dev, dispatch(dev, in, routes, expert_count)), routes);
  }

  template <class F>
  void parameters(const Scope& scope, F&& f) {
    experts.parameters(scope / "experts", f);
    router.parameters(scope / "router", f);
  }
};

}  // namespace tess::nn
