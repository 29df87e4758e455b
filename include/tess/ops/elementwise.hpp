// map, map_rows, cast: functions of single elements, and of whole rows, applied shard by shard.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "matmul.hpp"

namespace tess {

template <class Lhs, class Rhs>
struct operands_are_sharded_differently {
  static_assert(detail::always_false<Lhs>,
                "[elementwise] operands must be sharded alike: reshard<> one of them to the other's spec");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct operand_shapes_differ {
  static_assert(detail::always_false<Lhs>, "[elementwise] operands must have equal shapes");
  static constexpr bool ok = true;
};
template <class Spec>
struct function_of_a_pending_sum {
  static_assert(detail::always_false<Spec>,
                "[elementwise] the operand is still Partial, and f(a + b) is not f(a) + f(b): reduce() or "
                "reshard<> it first");
  static constexpr bool ok = true;
};
template <class Spec, class Dim>
struct rows_are_not_whole {
  static_assert(detail::always_false<Spec>,
                "[rows] a function of whole rows needs the last dimension unsharded: gather<> it first");
  static constexpr bool ok = true;
};

namespace detail {
template <class A, class B>
constexpr bool shapes_agree() {
  if (A::rank != B::rank) return false;
  for (int d = 0; d < A::rank; ++d)
    if (!extents_agree(static_extent<typename A::shape>(d), static_extent<typename B::shape>(d))) return false;
  return true;
}
template <class X, class O>
constexpr auto map_fact_of() {
  if constexpr (!std::is_same_v<typename X::mesh, typename O::mesh>)
    return std::type_identity<operands_live_on_different_meshes<lhs<typename X::mesh>, rhs<typename O::mesh>>>{};
  else if constexpr (X::sharding.partial)
    return std::type_identity<function_of_a_pending_sum<spec<typename X::spec>>>{};
  else if constexpr (!shapes_agree<X, O>())
    return std::type_identity<operand_shapes_differ<lhs<typename X::shape>, rhs<typename O::shape>>>{};
  else if constexpr (!(X::sharding == O::sharding))
    return std::type_identity<operands_are_sharded_differently<lhs<typename X::spec>, rhs<typename O::spec>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X, class O>
using map_fact = typename decltype(map_fact_of<X, O>())::type;

template <class X>
constexpr auto rows_fact_of() {
  if constexpr (X::sharding.partial) return std::type_identity<function_of_a_pending_sum<spec<typename X::spec>>>{};
  else if constexpr (X::sharding[X::rank - 1].without(trivial_axes<typename X::mesh>()).count > 0)
    return std::type_identity<rows_are_not_whole<spec<typename X::spec>, dim<X::rank - 1>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X>
using rows_fact = typename decltype(rows_fact_of<X>())::type;

template <class X, class O>
constexpr void check_equal_extents(const X& x, const O& o) {
  for (int d = 0; d < X::rank; ++d)
    if (x.extent(d) != o.extent(d))
      fail("[elementwise] operand_shapes_differ: dimension ", d, " has extents ", x.extent(d), " and ", o.extent(d));
}
}  // namespace detail

/// y[i] = f(x[i], others[i]...), elements widened to f32 for f and rounded once to Y. All operands have one shape and
/// one spec, which the result keeps. f is called on values and must not keep state. Refused on a pending sum.
template <class Y, class D, class F, AnyTensor X, AnyTensor... Others>
constexpr auto map(D& dev, F f, const X& x, const Others&... others) {
  static_assert(detail::map_fact<X, X>::ok);
  static_assert((detail::map_fact<X, Others>::ok && ...));
  using R = with_type<X, Y>;
  if constexpr ((std::is_same_v<detail::map_fact<X, Others>, nothing_wrong> && ... &&
                 std::is_same_v<detail::map_fact<X, X>, nothing_wrong>)) {
    (detail::check_equal_extents(x, others), ...);
    R y = make<R>(dev, x.extents());
    TESS_VERB(dev, map, f, y, x, others...);
    return y;
  } else {
    return reduced_type<R>{};
  }
}

/// The same values in another element type; bf16 rounds to nearest even. Free when the type does not change.
template <class Y, class D, AnyTensor X>
constexpr auto cast(D& dev, const X& x) {
  if constexpr (std::is_same_v<Y, typename X::value_type>) return x;
  else
    return map<Y>(
        dev, [](f32 v) { return v; }, x);
}

template <class D, AnyTensor A, AnyTensor B>
constexpr auto add(D& dev, const A& a, const B& b) {
  return map<typename A::value_type>(
      dev, [](f32 u, f32 v) { return u + v; }, a, b);
}

/// x [..., N] + bias [N] on every row; the bias is sharded as x's last dimension. Refused on a pending sum, which would
/// add it often.
template <class D, AnyTensor X, AnyTensor B>
constexpr auto add_bias(D& dev, const X& x, const B& bias) {
  static_assert(detail::map_fact<X, X>::ok);
  static_assert(B::rank == 1, "[add_bias] a bias has one dimension");
  static_assert(detail::holds_or<B::sharding[0] == X::sharding[X::rank - 1],
                                 operands_are_sharded_differently<lhs<typename X::spec>, rhs<typename B::spec>>>::ok);
  if constexpr (X::sharding.partial) {
    return reduced_type<X>{};
  } else {
    if (bias.extent(0) != x.extent(X::rank - 1))
      fail("[add_bias] the bias has extent ", bias.extent(0), ", the rows ", x.extent(X::rank - 1));
    X y = make<X>(dev, x.extents());
    TESS_VERB(dev, add_bias, y, x, bias);
    return y;
  }
}

/// x [B, T, D] -> [B, 1, D]: of every row the token at `last[b]`.
template <class D, AnyTensor X, class Last>
constexpr auto select_token(D& dev, const X& x, Last last) {
  static_assert(X::rank == 3, "[select_token] x is [batch, tokens, width]");
  static_assert(X::sharding[1].count == 0, "[select_token] the tokens of a row must lie on one device");
  using R =
      with_shape<X, Shape<detail::static_extent<typename X::shape>(0), 1, detail::static_extent<typename X::shape>(2)>,
                 typename X::spec>;
  R y = make<R>(dev, Extents<typename R::shape>::from({x.extent(0), 1, x.extent(2)}));
  TESS_VERB(dev, select_token, y, x, last);
  return y;
}

}  // namespace tess
