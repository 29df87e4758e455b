// Router: which experts see a token, and with what weight.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <span>

#include "linear.hpp"

namespace tess::nn {

/// Softmax over all experts, then the k largest, best first; equal probabilities go to the lower index.
/// `Normalize` divides the weights by their sum (Mixtral, GShard); Grok-1 does not.
template <bool Normalize = false>
struct SoftmaxTopK {
  void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    f32 largest = logits[0], sum = 0;
    for (const f32 v : logits) largest = v > largest ? v : largest;
    for (const f32 v : logits) sum += std::exp(v - largest);
    const auto probability = [&](i32 e) { return std::exp(logits[static_cast<std::size_t>(e)] - largest) / sum; };
    for (std::size_t j = 0; j < experts.size(); ++j) {
      i32 best = -1;
      for (i32 e = 0; e < static_cast<i32>(logits.size()); ++e)
        if (!taken(experts.first(j), e) && (best < 0 || probability(e) > weights[j])) {
          best = e;
          weights[j] = probability(e);
        }
      experts[j] = best;
    }
    if constexpr (Normalize) {
      f32 total = 0;
      for (const f32 w : weights) total += w;
      for (f32& w : weights) w /= total;
    }
  }

 private:
  static bool taken(std::span<const i32> chosen, i32 e) {
    for (const i32 c : chosen)
      if (c == e) return true;
    return false;
  }
};

/// x [B, T, D] -> routes of k experts a token: f32 logits x·w with w f32 [D, E], then the policy `Choose` on every row
/// of logits. x P<b, None, d> for w P<d, None> -> routes P<b, None, None>; a sum over d is finished by an all-reduce of
/// the logits. Strategy: does x move to w, or is w gathered (nn/strategy.hpp)?
template <AnyTensor W, class Choose = SoftmaxTopK<>, class Strategy = WeightStationary>
struct Router {
  using strategy = Strategy;
  static constexpr index_t experts = tess::detail::static_extent<typename W::shape>(1);
  W weight{};
  index_t selected = 2;
  [[no_unique_address]] Choose choose{};

  template <class D, class X, class How = Strategy>
  constexpr auto logits(D& dev, const X& x, How = {}) const {
    const auto met = bring_together<How>(dev, x, weight);
    return reduce(dev, matmul(dev, met.x, met.w));
  }
  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    return route(dev, logits(dev, x, how), selected, choose);
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "w", weight);
  }
};

}  // namespace tess::nn
