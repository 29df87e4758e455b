// MoELayer: a mixture of experts; every token through its k experts only, grouped by expert, wherever these lie.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/expert_parallel.hpp"
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
/// A network of experts may have a strategy, take another with a call, and say where it wants its tokens under each;
/// one without has `input_spec<X>` alone.
template <class Experts>
struct strategy_of {
  using type = WeightStationary;
};
template <class Experts>
requires requires { typename Experts::strategy; }
struct strategy_of<Experts> {
  using type = or_stationary<typename Experts::strategy>;
};
template <class Experts, class X, class How>
struct experts_input {
  using type = typename Experts::template input_spec<X>;
};
template <class Experts, class X, class How>
requires requires { typename Experts::template input_spec<X, How>; }
struct experts_input<Experts, X, How> {
  using type = typename Experts::template input_spec<X, How>;
};

/// The axes over which the experts lie when they meet x, as the entry of a spec. A network that does not tell how its
/// weights then lie has all experts on every device.
template <class Experts, class X, class How>
struct experts_over {
  using type = None;
};
template <class Experts, class X, class How>
requires requires { typename Experts::template weight_spec<X, How>; }
struct experts_over<Experts, X, How> {
  using type = tess::detail::dim_entry<
      typename X::mesh, tess::detail::spec_holder<typename Experts::template weight_spec<X, How>, typename X::mesh, 3>,
      0>;
};
}  // namespace detail

/// x [B, T, D] -> f32 [B, T, D], a pending sum where the experts leave one: the weighted sum of the experts' outputs is
/// linear and is taken on the parts, so that one row a token, not k, crosses devices. The caller finishes it.
/// Experts over mesh axes: where these shard the tokens too, tokens are sent to their experts and return, each once to a
/// device; where every device has the same tokens it takes its own experts', and the sum is pending over these axes.
/// `Experts` is any network over grouped rows (ops/experts.hpp) with `input_spec<X>`, such as GatedFeedForward.
/// Strategy: for the router's and the experts' weights; that of the experts unless named (nn/strategy.hpp).
/// Source: Shazeer et al., arXiv 1701.06538; dropless as in MegaBlocks, arXiv 2211.15841.
template <class R, class Experts, class Strategy = typename detail::strategy_of<Experts>::type>
struct MoELayer {
  using strategy = Strategy;
  R router{};
  Experts experts{};
  index_t expert_count = detail::declared_experts<R>();  // to be set where the type says dyn

  /// Where the experts want their tokens.
  template <class X, class How = Strategy>
  using input_spec = typename detail::experts_input<Experts, X, How>::type;

  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    const auto in = reshard<input_spec<X, How>>(dev, x);
    return apply(dev, in, router(dev, in, how), how);
  }

  /// The same with routes given, e.g. to force a reference's choices. They lie as tokens of `input_spec<X>` do.
  template <class D, class X, class Routes, class How = Strategy>
  constexpr auto apply(D& dev, const X& x, const Routes& routes, How how = {}) const {
    const auto in = reshard<input_spec<X, How>>(dev, x);
    using In = std::remove_cv_t<decltype(in)>;
    using Over = typename detail::experts_over<Experts, In, How>::type;
    if constexpr (std::is_same_v<Over, None>) {
      const auto rows = dispatch(dev, in, routes, expert_count);
      if constexpr (requires { experts.combined(dev, rows, routes, how); })
        return experts.combined(dev, rows, routes, how);
      else return combine(dev, computed(dev, rows, how), routes);
    } else if constexpr (tess::detail::must_be_sent<Over, In>) {
      const auto sent = send_tokens<Over>(dev, in, routes, expert_count);
      return return_tokens(dev, combine(dev, computed(dev, dispatch(dev, sent), how), sent));
    } else {
      return combine(dev, computed(dev, dispatch<Over>(dev, in, routes, expert_count), how), routes);
    }
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    experts.parameters(scope / "experts", f);
    router.parameters(scope / "router", f);
  }

 private:
  template <class D, class Rows, class How>
  constexpr auto computed(D& dev, const Rows& rows, How how) const {
    if constexpr (requires { experts(dev, rows, how); }) return experts(dev, rows, how);
    else return experts(dev, rows);
  }
};

}  // namespace tess::nn
