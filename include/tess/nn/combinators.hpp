// Sequential, Residual, Repeat: how layers make larger layers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <tuple>
#include <vector>

#include "../ops/elementwise.hpp"
#include "../ops/reshard.hpp"
#include "parameters.hpp"

namespace tess::nn {

/// Layer after layer.
template <class... L>
struct Sequential {
  std::tuple<L...> layers{};

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return run<0>(dev, x);
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    std::size_t i = 0;
    std::apply([&](auto&... l) { (visit(l, (scope / "").numbered(i++), f), ...); }, layers);
  }

 private:
  template <std::size_t I, class D, class X>
  constexpr auto run(D& dev, const X& x) const {
    if constexpr (I == sizeof...(L)) return x;
    else return run<I + 1>(dev, std::get<I>(layers)(dev, x));
  }
  template <class Layer, class F>
  static constexpr void visit(Layer& l, const Scope& scope, F&& f) {
    if constexpr (requires { l.parameters(scope, f); }) l.parameters(scope, f);
  }
};

/// A reshard as a layer: the one place in a Sequential where bytes may move.
template <AnySpec To>
struct Reshard {
  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return reshard<To>(dev, x);
  }
};

/// x + layer(x), rounded to x's type. The layer's result is resharded to x's spec, which finishes a pending sum.
template <class L>
struct Residual {
  L layer{};

  template <class D, class X, class... Args>
  constexpr X operator()(D& dev, const X& x, Args&&... args) const {
    return add(dev, x, reshard<typename X::spec>(dev, layer(dev, x, args...)));
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    layer.parameters(scope, f);
  }
};

/// One state a layer, for Repeat: `model(dev, x, per_layer(caches), rows)` hands block i the i-th cache.
template <class States>
struct PerLayer {
  States* states;
};
template <class States>
constexpr PerLayer<States> per_layer(States& states) {
  return {&states};
}

/// N equal blocks (one type to compile, however many): x -> block(x), N times. N may be dyn. The block keeps x's type.
template <index_t N, class Block>
struct Repeat {
  using Blocks =
      std::conditional_t<N == dyn, std::vector<Block>, std::array<Block, N == dyn ? 1 : static_cast<std::size_t>(N)>>;
  Blocks blocks{};

  template <class D, class X, class... Args>
  constexpr X operator()(D& dev, const X& in, const Args&... args) const {
    X x = in;
    dev.repeat(static_cast<index_t>(blocks.size()), [&](index_t i) {
      x = blocks[static_cast<std::size_t>(i)](dev, x, pick(static_cast<std::size_t>(i), args)...);
    });
    return x;
  }
  /// `scope` plus the number of the block: "…/decoder_layer_" -> "…/decoder_layer_0".
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].parameters(scope.numbered(i), f);
  }

 private:
  template <class A>
  static constexpr decltype(auto) pick(std::size_t i, const A& a) {
    if constexpr (requires { a.states; }) return ((*a.states)[i]);
    else return (a);
  }
};

}  // namespace tess::nn
