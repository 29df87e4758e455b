// The elementwise operations: arithmetic, functions, selection, casts. All of them are `map` with a function of fn.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "map.hpp"

namespace tess {

template <class Spec, class To>
struct cast_of_a_pending_sum {
  static_assert(
      detail::always_false<Spec>,
      "[cast] the operand is still Partial, and cutting the fractions off its parts is not cutting off that of the "
      "sum: reduce() it first");
  static constexpr bool ok = true;
};
template <class Number, class Element>
struct fraction_beside_integers {
  static_assert(detail::always_false<Number>,
                "[elementwise] the result has the tensor's element type, in which the number would lose its fraction: "
                "cast<f32> the tensor, or give an integer");
  static constexpr bool ok = true;
};
template <class Spec, class Dim>
struct rows_are_not_whole {
  static_assert(detail::always_false<Spec>,
                "[rows] a function of whole rows needs the last dimension unsharded: gather<> it first");
  static constexpr bool ok = true;
};

namespace detail {
template <class X>
constexpr auto rows_fact_of() {
  if constexpr (X::sharding.partial) return std::type_identity<function_of_a_pending_sum<spec<typename X::spec>>>{};
  else if constexpr (X::sharding[X::rank - 1].without(trivial_axes<typename X::mesh>()).count > 0)
    return std::type_identity<rows_are_not_whole<spec<typename X::spec>, dim<X::rank - 1>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X>
using rows_fact = typename decltype(rows_fact_of<X>())::type;

template <class Y, class X>
constexpr auto cast_fact_of() {
  using fact = elementwise_fact<fn::Convert<Y, typename X::value_type>, X>;
  if constexpr (std::is_same_v<fact, function_of_a_pending_sum<spec<typename X::spec>>>)
    return std::type_identity<cast_of_a_pending_sum<spec<typename X::spec>, to<Y>>>{};
  else return std::type_identity<fact>{};
}
template <class Y, class X>
using cast_fact = typename decltype(cast_fact_of<Y, X>())::type;

template <class T>
concept Number = std::is_arithmetic_v<T>;
/// A number beside a tensor of T takes the precision in which T is computed.
template <class T>
using Beside = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;
template <class T, class C>
constexpr Beside<T> beside(C c) {
  static_assert(holds_or<!(std::is_integral_v<T> && std::is_floating_point_v<C>), fraction_beside_integers<C, T>>::ok);
  return static_cast<Beside<T>>(c);
}
/// F of elements T and B with results in T: integers lose the fractions of B, and those of a quotient.
template <class F, class T, class B>
inline constexpr bool cuts_off = std::is_integral_v<T> && (!std::is_integral_v<B> || std::is_same_v<F, fn::Divide> ||
                                                           std::is_same_v<F, fn::Over<Beside<T>>>);
template <class F, class T, class B>
using in_type_of_first = std::conditional_t<cuts_off<F, T, B>, fn::CutOff<F>, F>;
template <class F, class D, class A, class B>
constexpr auto map_two(D& dev, const A& a, const B& b) {
  using T = typename A::value_type;
  return map<T>(dev, in_type_of_first<F, T, typename B::value_type>{}, a, b);
}
}  // namespace detail

// Two tensors, or a tensor and a number; the result has the first tensor's element type. x + y of pending sums is
// pending; x · y and x / y are where one factor, or x, is pending and the other is whole along its axes.

template <class D, AnyTensor A, AnyTensor B>
constexpr auto add(D& dev, const A& a, const B& b) {
  return detail::map_two<fn::Add>(dev, a, b);
}
template <class D, AnyTensor A, AnyTensor B>
constexpr auto sub(D& dev, const A& a, const B& b) {
  return detail::map_two<fn::Subtract>(dev, a, b);
}
template <class D, AnyTensor A, AnyTensor B>
constexpr auto mul(D& dev, const A& a, const B& b) {
  return detail::map_two<fn::Multiply>(dev, a, b);
}
template <class D, AnyTensor A, AnyTensor B>
constexpr auto div(D& dev, const A& a, const B& b) {
  return detail::map_two<fn::Divide>(dev, a, b);
}
template <class D, AnyTensor A, AnyTensor B>
constexpr auto maximum(D& dev, const A& a, const B& b) {
  return map<typename A::value_type>(dev, fn::Maximum{}, a, b);
}
template <class D, AnyTensor A, AnyTensor B>
constexpr auto minimum(D& dev, const A& a, const B& b) {
  return map<typename A::value_type>(dev, fn::Minimum{}, a, b);
}

template <class D, AnyTensor X, detail::Number C>
constexpr auto add(D& dev, const X& x, C c) {
  using T = typename X::value_type;
  return map<T>(dev, fn::Plus<detail::Beside<T>>{detail::beside<T>(c)}, x);
}
template <class D, AnyTensor X, detail::Number C>
constexpr auto sub(D& dev, const X& x, C c) {
  return add(dev, x, -detail::beside<typename X::value_type>(c));
}
template <class D, AnyTensor X, detail::Number C>
constexpr auto mul(D& dev, const X& x, C c) {
  using T = typename X::value_type;
  return map<T>(dev, fn::Times<detail::Beside<T>>{detail::beside<T>(c)}, x);
}
template <class D, AnyTensor X, detail::Number C>
constexpr auto div(D& dev, const X& x, C c) {
  using T = typename X::value_type;
  detail::in_type_of_first<fn::Over<detail::Beside<T>>, T, T> over{};
  over.c = detail::beside<T>(c);
  return map<T>(dev, over, x);
}

/// -x. Of a pending maximum, a pending minimum.
template <class D, AnyTensor X>
constexpr auto neg(D& dev, const X& x) {
  return map<typename X::value_type>(dev, fn::Negate{}, x);
}
template <class D, AnyTensor X>
constexpr auto exp(D& dev, const X& x) {
  return map<real<typename X::value_type>>(dev, fn::Exp{}, x);
}
template <class D, AnyTensor X>
constexpr auto tanh(D& dev, const X& x) {
  return map<real<typename X::value_type>>(dev, fn::Tanh{}, x);
}
template <class D, AnyTensor X>
constexpr auto sigmoid(D& dev, const X& x) {
  return map<real<typename X::value_type>>(dev, fn::Sigmoid{}, x);
}
/// x, but no less than `low` and no more than `high`.
template <class D, AnyTensor X, detail::Number Low, detail::Number High>
constexpr auto clamp(D& dev, Low low, const X& x, High high) {
  using T = typename X::value_type;
  return map<T>(dev, fn::Clamp<detail::Beside<T>>{detail::beside<T>(low), detail::beside<T>(high)}, x);
}
/// x in bf16's, f16's or another format's precision, in x's type: `reduce_precision<5, 10>` is f16.
template <int Exponent, int Mantissa, class D, AnyTensor X>
constexpr auto reduce_precision(D& dev, const X& x) {
  return map<typename X::value_type>(dev, fn::ReducePrecision<Exponent, Mantissa>{}, x);
}

/// a where the mask (bool or i32) holds, else b. Two pending sums over the same axes stay pending; the mask is finished.
template <class D, AnyTensor Mask, AnyTensor A, AnyTensor B>
constexpr auto where(D& dev, const Mask& mask, const A& a, const B& b) {
  return map<typename A::value_type>(dev, fn::Where{}, mask, a, b);
}
/// a where the mask holds, else 0; a may be a pending sum, of which every part is then 0.
template <class D, AnyTensor Mask, AnyTensor A>
constexpr auto where_else_zero(D& dev, const Mask& mask, const A& a) {
  return map<typename A::value_type>(dev, fn::Masked{}, mask, a);
}

/// The same values in another element type; bf16 rounds to nearest even. Free when the type does not change. A pending
/// sum may change its precision, each part rounded, but not become integers.
template <class Y, class D, AnyTensor X>
constexpr auto cast(D& dev, const X& x) {
  using T = typename X::value_type;
  if constexpr (std::is_same_v<Y, T>) {
    return x;
  } else {
    static_assert(detail::cast_fact<Y, X>::ok);
    if constexpr (std::is_same_v<detail::cast_fact<Y, X>, nothing_wrong>) return map<Y>(dev, fn::Convert<Y, T>{}, x);
    else return reduced_type<with_type<X, Y>>{};
  }
}

/// x [..., N] + bias [N] on every row. The bias is sharded as x's last dimension, or whole and sliced. Refused on a
/// pending sum, to which every device would add it.
template <class D, AnyTensor X, AnyTensor B>
constexpr auto add_bias(D& dev, const X& x, const B& bias) {
  static_assert(B::rank == 1, "[add_bias] a bias has one dimension");
  return add(dev, x, bias);
}

/// x [B, T, D] -> [B, 1, D]: of every row the token at `last[b]`.
template <class D, AnyTensor X, class Last>
constexpr auto select_token(D& dev, const X& x, Last last) {
  static_assert(X::rank == 3, "[select_token] x is [batch, tokens, width]");
  static_assert(X::sharding[1].count == 0, "[select_token] the tokens of a row must lie on one device");
  if (x.extent(1) < 1) fail("[select_token] a row has no token");
  using R =
      with_shape<X, Shape<detail::static_extent<typename X::shape>(0), 1, detail::static_extent<typename X::shape>(2)>,
                 typename X::spec>;
  R y = make<R>(dev, Extents<typename R::shape>::from({x.extent(0), 1, x.extent(2)}));
  TESS_VERB(dev, select_token, y, x, last);
  return y;
}

}  // namespace tess
