// softmax, and the functions of lines that are spread over devices, each by name with the small reductions it needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "create.hpp"
#include "elementwise.hpp"
#include "reduction.hpp"

namespace tess {

namespace fn {
struct ExpOfDifference {
  template <class T>
  constexpr f32 operator()(T x, T largest) const {
    using Wide = std::conditional_t<std::is_integral_v<T>, f64, T>;  // the difference of two integers may be none
    return math::Exp::apply(static_cast<f32>(static_cast<Wide>(x) - static_cast<Wide>(largest)));
  }
};
/// The same, and 1 for the largest itself, also if that is infinite: a term of log Σ e^x.
struct Term {
  template <class T>
  constexpr f32 operator()(T x, T largest) const {
    return x == largest ? 1.0f : ExpOfDifference{}(x, largest);
  }
};
struct SquareOfDifference {
  template <class T, class M>
  constexpr M operator()(T x, M mean) const {
    const M off = static_cast<M>(x) - mean;
    return off * off;
  }
};
/// largest + log Σ e^(x - largest)
struct AddLog {
  template <class T>
  constexpr real<T> operator()(T largest, f32 sum) const {
    return static_cast<real<T>>(largest) + static_cast<real<T>>(math::log(sum));
  }
};
/// The place of x where it is the largest, or NaN; elsewhere a place behind all others.
struct PlaceOfLargest {
  template <class T>
  constexpr i32 operator()(T x, T largest, i32 place) const {
    return x == largest || x != x ? place : std::numeric_limits<i32>::max();
  }
};
}  // namespace fn

namespace detail {
/// Lines may be spread over devices: then the maximum and the sum of each are finished on the way.
template <class Y, int Dim, class D, AnyTensor X>
constexpr auto softmax_of(D& dev, const X& x) {
  const auto largest = reduce(dev, max<Dim>(dev, x, keep_dims));
  const auto e = map<f32>(dev, fn::ExpOfDifference{}, x, largest);
  const auto total = reduce(dev, sum<Dim>(dev, e, keep_dims));
  return map<Y>(dev, fn::Divide{}, e, total);
}
/// What is wrong with a function of the lines of X along Dim, whole or spread: X is pending, or has no such dimension.
template <class X, int Dim>
constexpr auto spread_fact_of() {
  constexpr rules::Dims dims = dims_named<X, Dim>();
  if constexpr (!dims.ok)
    return std::type_identity<reduction_has_no_such_dimension<spec<typename X::spec>, dim<dims.wrong>>>{};
  else return std::type_identity<map_fact<X, X>>{};
}
template <class X, int Dim>
using spread_fact = typename decltype(spread_fact_of<X, Dim>())::type;
template <class X, int Dim>
concept Spread = std::is_same_v<spread_fact<X, Dim>, nothing_wrong>;

/// Shape and spec of the places along dimension Dim of X: 1 elsewhere.
template <class X, int Dim, int... D>
auto places_shape(std::integer_sequence<int, D...>)
    -> Shape<(D == Dim ? static_extent<typename X::shape>(D) : index_t{1})...>;
template <class X, int Dim>
struct places_spec {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = X::rank;
    s[Dim] = X::sharding[Dim];
    return s;
  }();
};
}  // namespace detail

/// e^x / Σ e^x along Dim, in f32, of type Y and under x's spec. The dimension must not be sharded: no bytes move.
template <class Y = f32, int Dim = -1, class D, AnyTensor X>
constexpr auto softmax(D& dev, const X& x) {
  using fact = detail::reduction_fact<X, rules::Fold::whole, true, Dim>;
  static_assert(fact::ok);
  if constexpr (std::is_same_v<fact, nothing_wrong>) return detail::softmax_of<Y, Dim>(dev, x);
  else return reduced_type<with_type<X, Y>>{};
}

/// The same along a sharded dimension. Bytes: two all-reduces of one f32 a line over its axes, the maximum and the sum.
template <class Y = f32, int Dim = -1, class D, AnyTensor X>
constexpr auto softmax_sharded(D& dev, const X& x) {
  static_assert(detail::spread_fact<X, Dim>::ok);
  if constexpr (detail::Spread<X, Dim>) return detail::softmax_of<Y, Dim>(dev, x);
  else return reduced_type<with_type<X, Y>>{};
}

/// log Σ e^x along a sharded dimension. Bytes: those of softmax_sharded.
template <int Dim = -1, class D, AnyTensor X>
constexpr auto logsumexp_sharded(D& dev, const X& x) {
  static_assert(detail::spread_fact<X, Dim>::ok);
  if constexpr (detail::Spread<X, Dim>) {
    const auto largest = reduce(dev, max<Dim>(dev, x, keep_dims));
    const auto total = reduce(dev, sum<Dim>(dev, map<f32>(dev, fn::Term{}, x, largest), keep_dims));
    return sum<Dim>(dev, map<f32>(dev, fn::AddLog{}, largest, total));  // of lines of one
  } else {
    return reduced_type<X>{};
  }
}

/// The mean of (x - mean x)² along a sharded dimension. Bytes: two all-reduces of one f32 a line.
template <int Dim = -1, class D, AnyTensor X>
constexpr auto var_sharded(D& dev, const X& x) {
  static_assert(detail::spread_fact<X, Dim>::ok);
  if constexpr (detail::Spread<X, Dim>) {
    const auto average = reduce(dev, mean<Dim>(dev, x, keep_dims));
    return reduce(dev, mean<Dim>(dev, map<f32>(dev, fn::SquareOfDifference{}, x, average)));
  } else {
    return reduced_type<X>{};
  }
}

/// i32: where the largest element stands along a sharded dimension, the first of equal ones. Bytes: two all-reduces of one
/// number a line, of the largest element and of its place.
template <int Dim = -1, class D, AnyTensor X>
constexpr auto argmax_sharded(D& dev, const X& x) {
  static_assert(detail::spread_fact<X, Dim>::ok);
  if constexpr (detail::Spread<X, Dim>) {
    constexpr int d = Dim < 0 ? Dim + X::rank : Dim;
    using S = decltype(detail::places_shape<X, d>(std::make_integer_sequence<int, X::rank>{}));
    using M = typename X::mesh;
    std::array<index_t, static_cast<std::size_t>(X::rank)> extents{};
    for (auto& n : extents) n = 1;
    extents[static_cast<std::size_t>(d)] = x.extent(d);
    const auto places = iota<i32, S, M, spec_type<M, detail::places_spec<X, d>>, d>(dev, Extents<S>::from(extents));
    const auto largest = reduce(dev, max<Dim>(dev, x, keep_dims));
    return reduce(dev, min<Dim>(dev, map<i32>(dev, fn::PlaceOfLargest{}, x, largest, places)));
  } else {
    return reduced_type<X>{};
  }
}

}  // namespace tess
