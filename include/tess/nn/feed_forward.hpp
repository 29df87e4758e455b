// GatedFeedForward: activation(x·gate) ⊙ (x·up), then down; a dense block, or the experts of a mixture.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "activations.hpp"
#include "linear.hpp"

namespace tess::nn {

/// x [..., D] -> f32 [..., D] P<b', n, Partial<f>>, for gate and up P<d, f> and down P<f, n>: the caller finishes the
/// sum. For rows grouped by expert (ops/experts.hpp) the weights are [E, D, F] and [E, F, D].
/// The hidden layer is f32. Strategy: that of its products; where they say InPlace, weights stay at rest.
/// Bytes: where d is a mesh axis, x moves to it (plain tokens; grouped rows must lie so already) and the two hidden
/// sums are finished, or else the weights are gathered; none otherwise. Source: Shazeer, arXiv 2002.05202.
template <class Gate, class Up, class Down, class Activation = Silu,
          class Strategy = or_stationary<typename Gate::strategy>>
struct GatedFeedForward {
  using strategy = Strategy;
  Gate gate{};
  Up up{};
  Down down{};
  [[no_unique_address]] Activation activation{};

  /// Where tokens must lie to be multiplied with the first weights.
  template <class X, class How = Strategy>
  using input_spec = typename How::template input_spec<X, decltype(Gate::weight)>;

  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    const auto in = at_input<How>(dev, x);
    const auto g = reduce(dev, gate(dev, in, how));
    const auto u = reduce(dev, up(dev, in, how));
    const auto act = activation;
    const auto hidden = map<f32>(
        dev, [act](f32 a, f32 b) { return act(a) * b; }, g, u);
    return down(dev, hidden, how);
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    gate.parameters(scope / "gate", f);
    up.parameters(scope / "up", f);
    down.parameters(scope / "down", f);
  }

 private:
  /// Once for both products.
  template <class How, class D, class X>
  static constexpr auto at_input(D& dev, const X& x) {
    if constexpr (AnyGrouped<X>) return x;
    else return reshard<input_spec<X, How>>(dev, x);
  }
};

}  // namespace tess::nn
