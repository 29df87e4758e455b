// How blocks meet in one operation: their states, their shapes, their element types.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../create.hpp"
#include "block.hpp"

namespace tess {

template <class Axes, class... Operands>
struct function_of_a_pending_block {
  static_assert(detail::always_false<Axes>,
                "[shard_map] a block is an addend of a sum that is still pending, and f(a + b) is not f(a) + f(b): "
                "psum<> it first");
  static constexpr bool ok = true;
};
template <class Axes, class... Operands>
struct pending_block_meets_a_finished_one {
  static_assert(
      detail::always_false<Axes>,
      "[shard_map] one operand of a sum is pending and the other is finished, so every device would add the finished "
      "one: psum<> the pending one first");
  static constexpr bool ok = true;
};
template <class Axes, class... Operands>
struct product_of_pending_blocks {
  static_assert(detail::always_false<Axes>,
                "[shard_map] the product of two pending sums is not the pending sum of products: psum<> one of them "
                "first");
  static constexpr bool ok = true;
};
template <class Axes, class... Operands>
struct pending_block_times_a_varying_one {
  static_assert(detail::always_false<Axes>,
                "[shard_map] the addends of a pending sum may only be multiplied by what is equal on all devices: "
                "psum<> the pending operand first");
  static constexpr bool ok = true;
};
template <class First, class... Shapes>
struct block_shapes_do_not_broadcast {
  static_assert(detail::always_false<First>,
                "[shard_map] the local shapes of blocks differ: extents, aligned at their ends, must be equal or 1");
  static constexpr bool ok = true;
};
namespace blocks {

// ---- the state of a result: F is the function, or one of these

struct Linear {
  static constexpr rules::Algebra algebra{.together = 0b1};
};
struct Bilinear {
  static constexpr rules::Algebra algebra{.alone = 0b11};
};

template <class F, class... X>
struct joined {
  static constexpr VaryingValue states[] = {X::state...};
  static constexpr rules::JoinVerdict verdict = rules::join(states, static_cast<int>(sizeof...(X)), algebra_of<F>());
  static constexpr VaryingValue value = verdict.result;
};

template <rules::JoinFault F, class Over, class... X>
constexpr auto join_fact() {
  if constexpr (F == rules::JoinFault::none) return std::type_identity<nothing_wrong>{};
  else if constexpr (F == rules::JoinFault::function_of_pending)
    return std::type_identity<function_of_a_pending_block<Over, typename X::varying...>>{};
  else if constexpr (F == rules::JoinFault::pending_plus_finished)
    return std::type_identity<pending_block_meets_a_finished_one<Over, typename X::varying...>>{};
  else if constexpr (F == rules::JoinFault::product_of_pending)
    return std::type_identity<product_of_pending_blocks<Over, typename X::varying...>>{};
  else return std::type_identity<pending_block_times_a_varying_one<Over, typename X::varying...>>{};
}

constexpr bool broadcasts(index_t a, index_t b) { return a == b || a == 1 || b == 1 || a == dyn || b == dyn; }
template <class A, class B>
constexpr bool shapes_broadcast() {
  for (int d = 1; d <= A::rank && d <= B::rank; ++d)
    if (!broadcasts(static_extent<A>(A::rank - d), static_extent<B>(B::rank - d))) return false;
  return true;
}
template <class A, class B>
constexpr index_t broadcast_extent(int d, int rank) {
  const int i = d - (rank - A::rank), j = d - (rank - B::rank);
  const index_t a = i < 0 ? 1 : static_extent<A>(i), b = j < 0 ? 1 : static_extent<B>(j);
  return a == 1 ? b : b == 1 ? a : a == dyn ? b : a;
}
template <class A, class B, int... D>
auto broadcast_shape_of(std::integer_sequence<int, D...>)
    -> Shape<broadcast_extent<A, B>(D, static_cast<int>(sizeof...(D)))...>;
/// The shape of both after broadcasting, as in numpy; A where they do not broadcast.
template <class A, class B>
using broadcast_shape =
    decltype(broadcast_shape_of<A, B>(std::make_integer_sequence<int, (A::rank > B::rank ? A::rank : B::rank)>{}));

/// Of several.
template <class S, class... Rest>
struct broadcast_all {
  using type = S;
  static constexpr bool ok = true;
};
template <class A, class B, class... Rest>
struct broadcast_all<A, B, Rest...> {
  using next = broadcast_all<broadcast_shape<A, B>, Rest...>;
  using type = typename next::type;
  static constexpr bool ok = shapes_broadcast<A, B>() && next::ok;
};

template <class F, class First, class... X>
constexpr auto zip_fact_of() {
  if constexpr (any_refused<First, X...>) {
    return first_refusal<First, X...>{};
  } else if constexpr (!(std::is_same_v<typename First::mesh, typename X::mesh> && ...)) {
    return std::type_identity<
        operands_live_on_different_meshes<lhs<typename First::mesh>, rhs<over<typename X::mesh...>>>>{};
  } else if constexpr (!broadcast_all<typename First::shape, typename X::shape...>::ok) {
    return std::type_identity<
        block_shapes_do_not_broadcast<shape<typename First::shape>, shape<typename X::shape>...>>{};
  } else {
    constexpr rules::JoinVerdict v = joined<F, First, X...>::verdict;
    return join_fact<v.fault, over_axes<typename First::mesh, v.at>, First, X...>();
  }
}
/// The broken rule of an elementwise function F of blocks X...
template <class F, class... X>
using zip_fact = typename decltype(zip_fact_of<F, X...>())::type;

template <AnyShape A, AnyShape B>
constexpr Extents<broadcast_shape<A, B>> broadcast_extents(const Extents<A>& a, const Extents<B>& b) {
  using S = broadcast_shape<A, B>;
  std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
  for (int d = 0; d < S::rank; ++d) {
    const int i = d - (S::rank - A::rank), j = d - (S::rank - B::rank);
    const index_t m = i < 0 ? 1 : a[i], n = j < 0 ? 1 : b[j];
    const bool stretches =
        (i >= 0 && static_extent<A>(i) == 1) || (j >= 0 && static_extent<B>(j) == 1) || i < 0 || j < 0;
    if (m != n && !stretches)
      fail("[shard_map] block_shapes_do_not_broadcast: dimension ", d, " has extents ", m, " and ", n);
    all[static_cast<std::size_t>(d)] = i < 0 || static_extent<A>(i < 0 ? 0 : i) == 1 ? n : m;
  }
  return Extents<S>::from(all);
}

template <AnyShape S>
constexpr Extents<S> broadcast_extents(const Extents<S>& e) {
  return e;
}
template <AnyShape A, AnyShape B, AnyShape C, AnyShape... Rest>
constexpr auto broadcast_extents(const Extents<A>& a, const Extents<B>& b, const Extents<C>& c,
                                 const Extents<Rest>&... rest) {
  return broadcast_extents(broadcast_extents(a, b), c, rest...);
}

template <class T, class L, class Holder, class X>
using result_block = Block<T, L, typename X::mesh, state_type<typename X::mesh, Holder>, typename X::device>;

/// A fresh block of type B like block `x`; its elements are not set.
template <class B, class X>
constexpr auto fresh(const X& x, const Extents<typename B::shape>& extents) {
  return make<ShardedTensor<typename B::value_type, typename B::shape, typename B::mesh, P<>, typename B::device>>(
      Inside::device(x), extents);
}

/// y = f(x...) element by element, in their own types (bf16 in f32), rounded once to T.
template <class T, class F, class... X>
constexpr auto zip_blocks(F f, const X&... x) {
  using fact = zip_fact<F, X...>;
  (void)sizeof(reported<fact, X...>);
  if constexpr (!holds<fact>) {
    return Refused<fact>{};
  } else {
    using First = nth_t<0, X...>;
    using R = result_block<T, typename broadcast_all<typename X::shape...>::type, joined<F, X...>, First>;
    const auto& first = std::get<0>(std::tie(x...));
    auto& dev = Inside::device(first);
    auto y = fresh<R>(first, broadcast_extents(x.extents()...));
    TESS_VERB(dev, map_broadcast, f, y, Inside::local(x)...);
    return Inside::block<typename R::varying>(dev, y);
  }
}

// ---- element types of results: those of blocks win over those of plain numbers

/// Integers become what they meet, bf16 becomes f32 beside f32.
template <class A, class B>
using promoted = typename std::conditional_t<
    std::is_same_v<A, B>, std::type_identity<A>,
    std::conditional_t<std::is_integral_v<A> && !std::is_integral_v<B>, std::type_identity<B>,
                       std::conditional_t<std::is_integral_v<B> && !std::is_integral_v<A>, std::type_identity<A>,
                                          std::common_type<A, B>>>>::type;
template <class... X>
constexpr auto element_of() {
  if constexpr (any_refused<X...>) return std::type_identity<void>{};
  else
    return std::type_identity<
        promoted<typename nth_t<0, X...>::value_type, typename nth_t<sizeof...(X) - 1, X...>::value_type>>{};
}
template <class... X>
using element_t = typename decltype(element_of<X...>())::type;

template <class N>
concept Number = std::is_arithmetic_v<N>;
/// The element type of a block with a number: that of the block, but for integers with a fraction.
template <class X, class N>
constexpr auto element_with_of() {
  if constexpr (is_refused<X>) return std::type_identity<f32>{};
  else if constexpr (std::is_integral_v<typename X::value_type> && std::is_floating_point_v<N>)
    return std::type_identity<f32>{};
  else return std::type_identity<typename X::value_type>{};
}
template <class X, class N>
using element_with = typename decltype(element_with_of<X, N>())::type;
}  // namespace blocks

}  // namespace tess
