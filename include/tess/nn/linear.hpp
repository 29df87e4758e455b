// Linear: x · w + b. How x and w come together is its strategy; by itself it is the typing rule, and no byte moves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/elementwise.hpp"
#include "parameters.hpp"
#include "strategy.hpp"

namespace tess::nn {

struct NoBias {};

namespace detail {
template <class B, class Of>
struct bias_beside {
  using Y = multiplied_t<Of>;
  static constexpr SpecValue value = [] {
    SpecValue s = B::sharding;
    if constexpr (AnyGrouped<Of>) s[0] = spec_value<P<typename Of::experts>, typename B::mesh, 1>[0];
    if (s.partial == 0 && (s.sharded() & Y::sharding.partial) == 0) s.pend(Y::sharding.partial);
    return s;
  }();
};
/// The bias as it is added to y: pending where y's sum is, so that one of the addends has it, and with the experts that
/// were gathered. Moves no byte but for these.
template <class Y, class D, class B>
constexpr auto beside(D& dev, const B& bias) {
  return reshard<spec_type<typename B::mesh, bias_beside<B, Y>>>(dev, bias);
}
}  // namespace detail

/// x [..., K] (f32 or bf16), weight [K, N] (f32, bf16 or q8) -> f32 [..., N].
///   P<b..., k> by P<k, n> -> P<b..., n, Partial<k>>
/// For rows grouped by expert the weight is [E, K, N], its bias [E, N]. To a pending product the bias is added once: it
/// lies as the product's columns do, or is whole, and becomes pending for nothing.
/// Strategy: InPlace, WeightStationary or Gathered (nn/strategy.hpp), unless a call names another.
/// A projection of one's own derives from it and hides `biased`, which is called on the finished columns by `project`,
/// so that attention and other layers take it as well.
template <AnyTensor W, class Bias = NoBias, class Strategy = InPlace>
struct Linear {
  using strategy = Strategy;
  W weight{};
  [[no_unique_address]] Bias bias{};

  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How = {}) const {
    const auto met = bring_together<How>(dev, x, weight);
    return biased(dev, matmul(dev, met.x, met.w));
  }

  /// y + bias, or y.
  template <class D, class Y>
  constexpr auto biased(D& dev, const Y& y) const {
    if constexpr (std::is_same_v<Bias, NoBias>) return y;
    else return add_bias(dev, y, detail::beside<Y>(dev, bias));
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "w", weight);
    if constexpr (!std::is_same_v<Bias, NoBias>) f(scope / "b", bias);
  }
};

namespace detail {
template <class X, class W>
struct projected {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding.without(W::sharding[W::rank - 1].mask());
    s.partial = 0;
    s[s.rank - 1] = W::sharding[W::rank - 1];
    return s;
  }();
};
}  // namespace detail

/// The spec of `project(dev, linear, x)`: x's batch dimensions as they were (but for axes of N), the weight's N last,
/// nothing pending.
template <class X, class W>
using projected_spec = spec_type<typename X::mesh, detail::projected<X, W>>;

/// linear(x) from any spec of x to `Out`: x and the weight come together as the strategy says, the product's sum is
/// finished into Out. Bytes: what `reshard_plan` says of the transitions; none where the specs already agree.
template <AnySpec Out, class D, class L, AnyTensor X, class How = or_stationary<typename L::strategy>>
constexpr auto project(D& dev, const L& linear, const X& x, How = {}) {
  const auto met = bring_together<How>(dev, x, linear.weight);
  return linear.biased(dev, reshard<Out>(dev, matmul(dev, met.x, met.w)));
}

}  // namespace tess::nn
