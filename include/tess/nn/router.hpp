// Router: which experts see a token, and with what weight.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "linear.hpp"
#include "router_policies.hpp"

namespace tess::nn {

struct NoCorrection {};

/// x [B, T, D] -> routes of k experts a token: f32 logits x·w + b with w f32 [D, E] and b f32 [E], then the policy
/// `Choose` on every row of logits. x P<b, None, d> for w P<d, None> -> routes P<b, None, None>; a sum over d is
/// finished by an all-reduce of the logits. A correction f32 [E] is handed to the policy beside them (DeepSeek-V3);
/// both rows are whole.
/// Strategy: does x move to w, or is w gathered (nn/strategy.hpp)?
template <AnyTensor W, class Choose = SoftmaxTopK<>, class Bias = NoBias, class Correction = NoCorrection,
          class Strategy = WeightStationary>
struct Router {
  using strategy = Strategy;
  static constexpr index_t experts = tess::detail::static_extent<typename W::shape>(1);
  W weight{};
  [[no_unique_address]] Bias bias{};
  [[no_unique_address]] Correction correction{};
  index_t selected = 2;
  [[no_unique_address]] Choose choose{};

  template <class D, class X, class How = Strategy>
  constexpr auto logits(D& dev, const X& x, How = {}) const {
    const auto met = bring_together<How>(dev, x, weight);
    auto product = reduce(dev, matmul(dev, met.x, met.w));
    if constexpr (std::is_same_v<Bias, NoBias>) return product;
    else return add_bias(dev, product, bias);
  }
  /// The routes of given logits.
  template <class D, AnyTensor Logits>
  constexpr auto routes(D& dev, const Logits& of) const {
    if constexpr (std::is_same_v<Correction, NoCorrection>) return route(dev, of, selected, choose);
    else return route(dev, of, correction, selected, choose);
  }
  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    return routes(dev, logits(dev, x, how));
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "w", weight);
    if constexpr (!std::is_same_v<Bias, NoBias>) f(scope / "b", bias);
    if constexpr (!std::is_same_v<Correction, NoCorrection>) f(scope / "correction", correction);
  }
};

}  // namespace tess::nn
