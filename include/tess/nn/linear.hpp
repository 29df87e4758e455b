// Linear: x · w + b. The typing rule of matmul and nothing else: no byte moves; `project` adds the verbs around it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/elementwise.hpp"
#include "../ops/experts.hpp"
#include "../ops/matmul.hpp"
#include "../ops/reshard.hpp"
#include "parameters.hpp"

namespace tess::nn {

struct NoBias {};

/// x [..., K] (f32 or bf16), weight [K, N] (f32, bf16 or q8) -> f32 [..., N].
///   P<b..., k> by P<k, n> -> P<b..., n, Partial<k>>
/// For rows grouped by expert the weight is [E, K, N]. With a bias the product must not be Partial.
template <AnyTensor W, class Bias = NoBias>
struct Linear {
  W weight{};
  [[no_unique_address]] Bias bias{};

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x) const {
    return biased(dev, matmul(dev, x, weight));
  }

  /// y + bias, or y.
  template <class D, class Y>
  constexpr auto biased(D& dev, const Y& y) const {
    if constexpr (std::is_same_v<Bias, NoBias>) return y;
    else return add_bias(dev, y, bias);
  }

  template <class F>
  void parameters(const Scope& scope, F&& f) {
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

/// linear(x) from any spec of x to `Out`: x goes to the spec that the weight contracts with, the product's sum is
/// finished into Out. The weight stays where it lies. Bytes: what `reshard_plan` says of the two transitions; none
/// where the specs already agree.
template <AnySpec Out, class D, class L, AnyTensor X>
constexpr auto project(D& dev, const L& linear, const X& x) {
  using W = decltype(linear.weight);
  const auto y = matmul(dev, reshard<contracting_spec<X, W>>(dev, x), linear.weight);
  return linear.biased(dev, reshard<Out>(dev, y));
}

}  // namespace tess::nn
