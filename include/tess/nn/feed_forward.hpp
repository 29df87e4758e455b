// GatedFeedForward: activation(x·gate) ⊙ (x·up), then down; FeedForward: the same without a gate. Dense, or experts.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>

#include "../ops/gated.hpp"
#include "activations.hpp"
#include "linear.hpp"

namespace tess::nn {

namespace detail {
/// Plain tokens move to where the first weights are, once for all products; grouped rows must lie so already.
template <class How, class W, class D, class X>
constexpr auto at_input(D& dev, const X& x) {
  if constexpr (AnyGrouped<X>) return x;
  else return reshard<typename How::template input_spec<X, W>>(dev, x);
}

/// Is a projection of x the product with its weight where both lie, and nothing more?
template <class How, class X, class L>
inline constexpr bool is_product_in_place = false;
template <class How, class X, class W, class Strategy>
inline constexpr bool is_product_in_place<How, X, Linear<W, NoBias, Strategy>> =
    std::is_same_v<typename How::template weight_spec<X, W>, typename W::spec>&&
        std::is_same_v<typename How::template input_spec<X, W>, typename multiplied_t<X>::spec>;
}  // namespace detail

/// x [..., D] -> f32 [..., D] P<b', n, Partial<f>>, for gate and up P<d, f> and down P<f, n>: the caller finishes the
/// sum. For rows grouped by expert (ops/experts.hpp) the weights are [E, D, F] and [E, F, D], and biases [E, F], [E,
/// D]. The hidden layer is f32. An activation of one number acts on the gate, which multiplies up; one of two numbers
/// (ClampedSwiGLU) makes the hidden layer of gate and up.
/// Strategy: that of its products; where they say InPlace, weights stay at rest.
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
  /// And how the first weights then lie.
  template <class X, class How = Strategy>
  using weight_spec = typename How::template weight_spec<X, decltype(Gate::weight)>;

  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    return down(dev, hidden(dev, x, how), how);
  }
  /// The same of experts, whose outputs are summed by token (ops/experts.hpp, combine).
  template <class D, AnyGrouped X, class Routes, class How = Strategy>
  constexpr auto combined(D& dev, const X& x, const Routes& routes, How how = {}) const {
    const auto h = hidden(dev, x, how);
    if constexpr (detail::is_product_in_place<How, std::remove_cv_t<decltype(h)>, Down>)
      return matmul_combine(dev, h, down.weight, routes);
    else return combine(dev, down(dev, h, how), routes);
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    gate.parameters(scope / "gate", f);
    up.parameters(scope / "up", f);
    down.parameters(scope / "down", f);
  }

 private:
  /// A number of the hidden layer from its gate and up.
  constexpr auto activated() const {
    if constexpr (std::is_invocable_v<Activation, f32, f32>) return activation;
    else return GatedBy<Activation>{activation};
  }
  template <class D, class X, class How>
  constexpr auto hidden(D& dev, const X& x, How how) const {
    const auto in = detail::at_input<How, decltype(Gate::weight)>(dev, x);
    using In = std::remove_cv_t<decltype(in)>;
    if constexpr (detail::is_product_in_place<How, In, Gate> && detail::is_product_in_place<How, In, Up>) {
      return gated(dev, in, gate.weight, up.weight, activated());
    } else {
      const auto g = reduce(dev, gate(dev, in, how));
      const auto u = reduce(dev, up(dev, in, how));
      return map<f32>(dev, activated(), g, u);
    }
  }
};

/// x [..., D] -> activation(x·up)·down, f32 [..., D]: specs, experts, strategy and bytes as of GatedFeedForward, with
/// one hidden sum. Source: Vaswani et al., arXiv 1706.03762.
template <class Up, class Down, class Activation, class Strategy = or_stationary<typename Up::strategy>>
struct FeedForward {
  using strategy = Strategy;
  Up up{};
  Down down{};
  [[no_unique_address]] Activation activation{};

  template <class X, class How = Strategy>
  using input_spec = typename How::template input_spec<X, decltype(Up::weight)>;
  template <class X, class How = Strategy>
  using weight_spec = typename How::template weight_spec<X, decltype(Up::weight)>;

  template <class D, class X, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, How how = {}) const {
    const auto in = detail::at_input<How, decltype(Up::weight)>(dev, x);
    return down(dev, map<f32>(dev, activation, reduce(dev, up(dev, in, how))), how);
  }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    up.parameters(scope / "up", f);
    down.parameters(scope / "down", f);
  }
};

}  // namespace tess::nn
