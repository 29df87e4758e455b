// Sequential, Parallel, Gated, Either, Residual, Repeat: how layers make larger layers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <tuple>
#include <vector>

#include "../ops/elementwise.hpp"
#include "../ops/reshard.hpp"
#include "bills_alike.hpp"
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
  constexpr bool bills_as(const Sequential& o) const { return bills_alike(layers, o.layers); }
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
  constexpr bool bills_as(const Residual& o) const { return bills_alike(layer, o.layer); }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    layer.parameters(scope, f);
  }
};

namespace detail {
/// A value that is pending over the axes of both a and b.
template <class A, class B>
struct pending_as_both {
  static constexpr SpecValue value = [] {
    SpecValue s = A::sharding;
    s.pend(A::sharding.partial | B::sharding.partial);
    return s;
  }();
};
/// Are a and b sharded alike, and sums where they are pending? An axis that shards them cannot be pending in either.
template <class A, class B>
constexpr bool lie_alike_but_for_sums() {
  SpecValue a = A::sharding, b = B::sharding;
  if (a.kind != Reduction::sum || b.kind != Reduction::sum) return false;
  a.pend(0), b.pend(0);
  return a == b;
}
}  // namespace detail

/// The sum of several layers of the same input: a shared expert beside the routed ones, attention beside a feed-forward
/// block. Results that are sharded alike are added as they are, pending where one of them is, which moves no byte: their
/// sums are finished once. Others are finished into x's spec first.
template <class... L>
struct Parallel {
  std::tuple<L...> layers{};

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return sum_from<1>(dev, x, std::get<0>(layers)(dev, x));
  }
  constexpr bool bills_as(const Parallel& o) const { return bills_alike(layers, o.layers); }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    std::size_t i = 0;
    std::apply([&](auto&... l) { (l.parameters((scope / "").numbered(i++), f), ...); }, layers);
  }

 private:
  template <std::size_t I, class D, class X, class Y>
  constexpr auto sum_from(D& dev, const X& x, const Y& so_far) const {
    if constexpr (I == sizeof...(L)) {
      return so_far;
    } else {
      const auto more = std::get<I>(layers)(dev, x);
      using Z = std::remove_cv_t<decltype(more)>;
      using Spec =
          typename std::conditional_t<detail::lie_alike_but_for_sums<Y, Z>(),
                                      std::type_identity<spec_type<typename X::mesh, detail::pending_as_both<Y, Z>>>,
                                      std::type_identity<typename X::spec>>::type;
      return sum_from<I + 1>(dev, x, add(dev, reshard<Spec>(dev, so_far), reshard<Spec>(dev, more)));
    }
  }
};

/// sigmoid(x · gate) ⊙ layer(x): the gate is a Linear [H, 1], one number a token. A pending sum of the layer stays pending.
/// Source: Qwen2-MoE's shared expert, arXiv 2407.10671.
template <class Gate, class L>
struct Gated {
  Gate gate{};
  L layer{};

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    const auto share = sigmoid(dev, reduce(dev, gate(dev, x)));  // [B, T, 1]
    return mul(dev, layer(dev, x), share);
  }
  constexpr bool bills_as(const Gated& o) const { return bills_alike(layer, o.layer); }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    gate.parameters(scope / "gate", f);
    layer.parameters(scope / "layer", f);
  }
};

/// One of two layers, chosen when the model is made: a dense or a sparse block in each place of a Repeat. The result of the
/// first is resharded to x's spec, as that of the second is, so that both have one type.
template <class A, class B>
struct Either {
  A first{};
  B second{};
  bool takes_second = false;

  template <class D, class X>
  constexpr X operator()(D& dev, const X& x) const {
    if (takes_second) return reshard<typename X::spec>(dev, second(dev, x));
    return reshard<typename X::spec>(dev, first(dev, x));
  }
  constexpr bool bills_as(const Either& o) const {
    return takes_second == o.takes_second &&
           (takes_second ? bills_alike(second, o.second) : bills_alike(first, o.first));
  }
  /// Of the layer that is used.
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    if (takes_second) second.parameters(scope, f);
    else first.parameters(scope, f);
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
    for (std::size_t first = 0, last = 0; first < blocks.size(); first = last) {
      do ++last;
      while (last < blocks.size() && bills_alike(blocks[first], blocks[last]));
      dev.repeat(static_cast<index_t>(last - first), [&](index_t n) {
        const std::size_t i = first + static_cast<std::size_t>(n);
        x = blocks[i](dev, x, pick(i, args)...);
      });
    }
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
