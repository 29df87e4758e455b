// GatedFeedForward: activation(x·gate) ⊙ (x·up), then down; a dense block, or the experts of a mixture.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "activations.hpp"
#include "linear.hpp"

namespace tess::nn {

/// x [..., D] -> f32 [..., D] P<b', n, Partial<f>>, for gate and up P<d, f> and down P<f, n>: the caller finishes the
/// sum. For rows grouped by expert (ops/experts.hpp) the weights are [E, D, F] and [E, F, D].
/// The hidden layer is f32. Bytes: where d is a mesh axis, x moves to it (plain tokens; grouped rows must lie so
/// already) and the two hidden sums are finished; none otherwise. Source: Shazeer, arXiv 2002.05202.
template <class Gate, class Up, class Down, class Activation = Silu>
struct GatedFeedForward {
  Gate gate{};
  Up up{};
  Down down{};
  [[no_unique_address]] Activation activation{};

  /// Where tokens must lie to be multiplied with the first weights.
  template <class X>
  using input_spec = contracting_spec<X, decltype(Gate::weight)>;

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    if constexpr (AnyGrouped<X>) {
      return down(dev, hidden(dev, x));
    } else {
      const auto h = hidden(dev, reshard<input_spec<X>>(dev, x));
      return down(dev, reshard<contracting_spec<decltype(h), decltype(Down::weight)>>(dev, h));
    }
  }

  template <class F>
  void parameters(const Scope& scope, F&& f) {
    gate.parameters(scope / "gate", f);
    up.parameters(scope / "up", f);
    down.parameters(scope / "down", f);
  }

 private:
  template <class D, class X>
  constexpr auto hidden(D& dev, const X& x) const {
    const auto g = reduce(dev, gate(dev, x));
    const auto u = reduce(dev, up(dev, x));
    const auto act = activation;
    return map<f32>(
        dev, [act](f32 a, f32 b) { return act(a) * b; }, g, u);
  }
};

}  // namespace tess::nn
