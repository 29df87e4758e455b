// map: a function of single elements, applied shard by shard to operands that broadcast and slice for free.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "functions.hpp"
#include "matmul.hpp"

namespace tess {

template <class Lhs, class Rhs>
struct operands_are_sharded_differently {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] operands must be sharded alike, or one finer than the other, in every dimension: reshard<> "
      "one of them to the other's spec");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct operand_shapes_differ {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] operands must have equal shapes, or extents of 1 that stretch: aligned at the last dimension, "
      "these do not go together");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct result_would_be_sharded_twice {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] a mesh axis shards different dimensions of the operands, or one is Partial over an axis that "
      "shards the other: reshard<> one of them");
  static constexpr bool ok = true;
};
template <class Spec>
struct function_of_a_pending_sum {
  static_assert(detail::always_false<Spec>,
                "[elementwise] the operand is still Partial, and f(a + b) is not f(a) + f(b): reduce() or "
                "reshard<> it first");
  static constexpr bool ok = true;
};
template <class Spec>
struct function_of_a_pending_maximum {
  static_assert(
      detail::always_false<Spec>,
      "[elementwise] the operand is still PartialMax or PartialMin, and only a function that never falls, or never "
      "rises, may act on the parts: reduce() or reshard<> it first");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct finished_value_meets_a_pending_sum {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] one operand is still Partial, and every device would add the other one, which is finished, to "
      "its part: reduce() the pending one first");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct product_of_pending_sums {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] both factors are still Partial over a mesh axis, and (a + b)(c + d) is not ac + bd: reduce() "
      "one of them first");
  static constexpr bool ok = true;
};
template <class Spec>
struct quotient_by_a_pending_sum {
  static_assert(
      detail::always_false<Spec>,
      "[elementwise] the denominator is still Partial, and a / (b + c) is not a / b + a / c: reduce() it first");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct operands_are_pending_differently {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] the operands are Partial over different axes, or a sum meets a maximum: reduce() one of them "
      "first");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct operands_are_marked_reduced_differently {
  static_assert(
      detail::always_false<Lhs>,
      "[elementwise] one operand is marked Reduced over an axis and the other is not, so that their gradients would "
      "lie differently: reshard<> one of them to the other's mark, for free");
  static constexpr bool ok = true;
};

namespace detail {

/// What a function promises; nothing, unless it says so.
template <class F>
constexpr rules::Algebra algebra_of() {
  if constexpr (requires { F::algebra; }) return F::algebra;
  else return rules::opaque;
}
/// A function of which nothing is known.
struct Opaque {};

template <class X>
constexpr rules::MapOperand map_operand() {
  rules::MapOperand x;
  x.spec = X::sharding;
  x.shape = rules::shape_value<typename X::shape>;
  x.has_gradient = std::is_same_v<typename X::value_type, bf16> || std::is_floating_point_v<typename X::value_type>;
  return x;
}
template <class F, class X0, class... X>
constexpr rules::MapVerdict map_verdict() {
  const rules::MapOperand x[] = {map_operand<X0>(), map_operand<X>()...};
  return rules::elementwise(mesh_value<typename X0::mesh>, algebra_of<F>(), x, 1 + static_cast<int>(sizeof...(X)));
}
/// The first operand on another mesh than operand 0; 0: none.
template <class X0, class... X>
constexpr int on_another_mesh() {
  constexpr bool same[] = {true, std::is_same_v<typename X0::mesh, typename X::mesh>...};
  for (int i = 0; i <= static_cast<int>(sizeof...(X)); ++i)
    if (!same[i]) return i;
  return 0;
}

template <class F, class... X>
constexpr auto elementwise_fact_of() {
  using X0 = nth_t<0, X...>;
  constexpr int elsewhere = on_another_mesh<X...>();
  if constexpr (elsewhere > 0) {
    return std::type_identity<
        operands_live_on_different_meshes<lhs<typename X0::mesh>, rhs<typename nth_t<elsewhere, X...>::mesh>>>{};
  } else {
    using rules::MapFault;
    constexpr rules::MapVerdict v = map_verdict<F, X...>();
    using A = nth_t<v.first, X...>;
    using B = nth_t<v.second, X...>;
    using L = lhs<typename A::spec>;
    using R = rhs<typename B::spec>;
    if constexpr (v.fault == MapFault::none) return std::type_identity<nothing_wrong>{};
    else if constexpr (v.fault == MapFault::nonlinear)
      return std::type_identity<function_of_a_pending_sum<spec<typename A::spec>>>{};
    else if constexpr (v.fault == MapFault::not_monotone)
      return std::type_identity<function_of_a_pending_maximum<spec<typename A::spec>>>{};
    else if constexpr (v.fault == MapFault::finished_addend)
      return std::type_identity<finished_value_meets_a_pending_sum<L, R>>{};
    else if constexpr (v.fault == MapFault::two_factors) return std::type_identity<product_of_pending_sums<L, R>>{};
    else if constexpr (v.fault == MapFault::denominator)
      return std::type_identity<quotient_by_a_pending_sum<spec<typename B::spec>>>{};
    else if constexpr (v.fault == MapFault::pending_differently)
      return std::type_identity<operands_are_pending_differently<L, R>>{};
    else if constexpr (v.fault == MapFault::shapes)
      return std::type_identity<operand_shapes_differ<lhs<typename A::shape>, rhs<typename B::shape>>>{};
    else if constexpr (v.fault == MapFault::sharding)
      return std::type_identity<operands_are_sharded_differently<L, R>>{};
    else if constexpr (v.fault == MapFault::twice) return std::type_identity<result_would_be_sharded_twice<L, R>>{};
    else return std::type_identity<operands_are_marked_reduced_differently<L, R>>{};
  }
}
/// What is wrong with F of these operands: nothing_wrong, or the error.
template <class F, class... X>
using elementwise_fact = typename decltype(elementwise_fact_of<F, X...>())::type;
template <class X, class O>
using map_fact = elementwise_fact<Opaque, X, O>;

template <class F, class... X>
struct mapped {
  static constexpr rules::MapVerdict verdict = map_verdict<F, X...>();
  static constexpr SpecValue value = verdict.result.spec;
};
template <class Mapped, int... D>
auto mapped_shape(std::integer_sequence<int, D...>) -> Shape<Mapped::verdict.result.shape[D]...>;

/// The result of F over X...: shape and spec by the rule. After a fault the first operand, finished, so that nothing
/// cascades.
template <class Y, class F, class X0, class... X>
constexpr auto mapped_type_of() {
  if constexpr (!std::is_same_v<elementwise_fact<F, X0, X...>, nothing_wrong>) {
    return std::type_identity<reduced_type<with_type<X0, Y>>>{};
  } else {
    using verdict = mapped<F, X0, X...>;
    using S = decltype(mapped_shape<verdict>(std::make_integer_sequence<int, verdict::value.rank>{}));
    using M = typename X0::mesh;
    return std::type_identity<ShardedTensor<Y, S, M, spec_type<M, verdict>, typename X0::device>>{};
  }
}
template <class Y, class F, class... X>
using mapped_type = typename decltype(mapped_type_of<Y, F, X...>())::type;

/// Does x lie as y does, element by element? Otherwise it stretches, or a part of its shard is taken.
template <class Y, class X>
constexpr bool lies_as() {
  if (X::rank != Y::rank) return false;
  constexpr unsigned trivial = trivial_axes<typename Y::mesh>();
  for (int d = 0; d < Y::rank; ++d) {
    if ((static_extent<typename X::shape>(d) == 1) != (static_extent<typename Y::shape>(d) == 1)) return false;
    if (!(X::sharding[d].without(trivial) == Y::sharding[d].without(trivial))) return false;
  }
  return true;
}

/// Writes the extents of one operand into those of the result. Extents of 1 in the type stretch; others must be equal.
template <class S, class X>
constexpr void join_extents(std::array<index_t, static_cast<std::size_t>(S::rank)>& all, const X& x) {
  for (int own = 0; own < X::rank; ++own) {
    const int d = own + S::rank - X::rank;
    index_t& n = all[static_cast<std::size_t>(d)];
    if (static_extent<typename X::shape>(own) == 1) continue;
    if (n >= 0 && n != x.extent(own))
      fail("[elementwise] operand_shapes_differ: dimension ", d, " has extents ", n, " and ", x.extent(own));
    n = x.extent(own);
  }
}
template <class S, class... X>
constexpr Extents<S> joined_extents(const X&... x) {
  std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
  for (auto& n : all) n = -1;
  (join_extents<S>(all, x), ...);
  for (auto& n : all) n = n < 0 ? 1 : n;
  return Extents<S>::from(all);
}
}  // namespace detail

/// Can f be applied to these operands where they lie?
template <class F, class... X>
concept Mappable = std::is_same_v<detail::elementwise_fact<F, X...>, nothing_wrong>;

/// y[i] = f(x0[i], x1[i], …) of type Y, numpy's broadcasting, rounded once. No bytes move: every dimension of the result
/// is sharded as in the finest operand, and the others are sliced.
///   P<x, None> , P<None, y> -> P<x, y>      P<x> , P<Axes<x, y>> -> P<Axes<x, y>>      P<x> , P<y>: refused
/// bf16 elements arrive at f as f32, others as they are. f keeps no state. Pending operands are refused unless
/// F::algebra says that f commutes with finishing them (ops/functions.hpp).
/// Throws Error where only run-time extents tell that shapes differ. Rule: sharding/rules/elementwise.hpp.
template <class Y, class D, class F, AnyTensor... X>
constexpr auto map(D& dev, F f, const X&... x) {
  static_assert(detail::elementwise_fact<F, X...>::ok);
  using R = detail::mapped_type<Y, F, X...>;
  if constexpr (!Mappable<F, X...>) {
    return R{};
  } else {
    R y = make<R>(dev, detail::joined_extents<typename R::shape>(x...));
    if constexpr ((detail::lies_as<R, X>() && ...)) TESS_VERB(dev, map, f, y, x...);
    else TESS_VERB(dev, map_broadcast, f, y, x...);
    return y;
  }
}

}  // namespace tess
