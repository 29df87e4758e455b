// dual: what a change of local type does to gradients; the table of forward and backward, as a relation of types.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>

#include "../core/facts.hpp"
#include "../core/meta.hpp"
#include "../core/types.hpp"
#include "partition_spec.hpp"

namespace tess::spmd {

// Along one mesh axis a value is of one of four local types, and its gradient of the dual one: R ↔ P, I ↔ I, V ↔ V.
// The letters are those of meta-pytorch/spmd_types (docs/design.md); JAX says reduced, replicated, varying, unreduced.
struct R {};  // equal on all devices; they may use it differently, so its gradient is a pending sum
struct I {};  // equal on all devices, and used in the same way: so is its gradient
struct V {};  // every device has its own part
struct P {};  // every device has an addend

// The transitions in one step. Only the last four move bytes.
template <class From, class To>
struct Convert {
};  // the same value: keep the own part (-> V), keep it on the first device (-> P), pad with zeros (V -> P)
template <class From, class To>
struct Reinterpret {};  // the same local bytes, for another value
template <class To>
struct AllGather {};  // V -> To
template <class To>
struct AllReduce {};      // P -> To
struct ReduceScatter {};  // P -> V
struct AllToAll {};       // V -> V

/// One transition after the other.
template <class... T>
struct Then {};

namespace detail {

template <class T>
struct dual_of;
template <>
struct dual_of<R> {
  using type = P;
};
template <>
struct dual_of<P> {
  using type = R;
};
template <>
struct dual_of<I> {
  using type = I;
};
template <>
struct dual_of<V> {
  using type = V;
};

template <class A, class B>
inline constexpr bool same = std::is_same_v<A, B>;

/// A cell of the table: the transition from A to B in one step, which reinterprets or keeps the value; void: there is none.
template <class A, class B, bool Reinterprets>
constexpr auto cell() {
  if constexpr (Reinterprets) {
    constexpr bool stands =
        (same<A, R> && (same<B, V> || same<B, P>)) || (same<A, I> && same<B, V>) || (same<A, V> && same<B, P>);
    return std::type_identity<std::conditional_t<stands, Reinterpret<A, B>, void>>{};
  } else if constexpr (same<A, V> && same<B, V>) {
    return std::type_identity<AllToAll>{};
  } else if constexpr (same<A, B>) {
    return std::type_identity<void>{};
  } else if constexpr (same<A, V> && !same<B, P>) {
    return std::type_identity<AllGather<B>>{};
  } else if constexpr (same<A, P> && same<B, V>) {
    return std::type_identity<ReduceScatter>{};
  } else if constexpr (same<A, P>) {
    return std::type_identity<AllReduce<B>>{};
  } else {
    return std::type_identity<Convert<A, B>>{};
  }
}

template <class A, class B, bool Reinterprets>
struct transition {
  using from = A;
  using to = B;
  /// The same kind of step between the duals, backwards.
  using backward = typename decltype(cell<typename dual_of<B>::type, typename dual_of<A>::type, Reinterprets>())::type;
};
template <class T>
struct read;
template <class A, class B>
struct read<Convert<A, B>> : transition<A, B, false> {};
template <class A, class B>
struct read<Reinterpret<A, B>> : transition<A, B, true> {};
template <class B>
struct read<AllGather<B>> : transition<V, B, false> {};
template <class B>
struct read<AllReduce<B>> : transition<P, B, false> {};
template <>
struct read<ReduceScatter> : transition<P, V, false> {};
template <>
struct read<AllToAll> : transition<V, V, false> {};
/// I → V in the same bytes is I → R → V: its gradient, addends on all devices, is summed.
template <>
struct read<Reinterpret<I, V>> {
  using from = I;
  using to = V;
  using backward = Then<Reinterpret<V, P>, AllReduce<I>>;
};

template <class Done, class... T>
struct reversed;
template <class... Done>
struct reversed<Then<Done...>> {
  using type = Then<Done...>;
};
template <class... Done, class T, class... Rest>
struct reversed<Then<Done...>, T, Rest...> : reversed<Then<typename read<T>::backward, Done...>, Rest...> {};
template <class First, class... Rest>
struct read<Then<First, Rest...>> {
  using from = typename read<First>::from;
  using to = typename read<tess::detail::nth_t<static_cast<int>(sizeof...(Rest)), First, Rest...>>::to;
  using backward = typename reversed<Then<>, First, Rest...>::type;
};
}  // namespace detail

/// The local type of the gradient.
template <class T>
using dual = typename detail::dual_of<T>::type;

/// The local types before and after a transition.
template <class T>
using from_type = typename detail::read<T>::from;
template <class T>
using to_type = typename detail::read<T>::to;

/// The transition in one step from A to B that keeps the value, or (Reinterprets) the local bytes; void where there is none.
template <class A, class B, bool Reinterprets = false>
using one_step = typename decltype(detail::cell<A, B, Reinterprets>())::type;

/// What the gradient goes through when the value went through T: from dual<to> to dual<from>.
template <class T>
using backward_of = typename detail::read<T>::backward;

// The collectives and casts of shard_map (ops/shard_map.hpp) are chains of these. So JAX's table of transposes follows.
using preduced = Convert<I, R>;
using pvary = Then<Convert<I, R>, Reinterpret<R, V>>;
using ppartial = Reinterpret<V, P>;                  // JAX: vary_unreduced_cast
using reduced_vary = Reinterpret<R, V>;              // pvary of what is reduced
using psum = Then<Reinterpret<V, P>, AllReduce<I>>;  // of what varies
using psum_of_partial = AllReduce<I>;                // JAX: unreduced_psum
using psum_scatter = Then<Reinterpret<V, P>, ReduceScatter>;
using psum_scatter_of_partial = ReduceScatter;  // JAX: unreduced_psum_scatter
using all_gather = Then<AllGather<R>, Reinterpret<R, V>>;
using all_gather_invariant = AllGather<I>;
using all_gather_reduced = AllGather<R>;
using all_to_all = AllToAll;
using own_part = Convert<I, V>;  // JAX: pscatter

}  // namespace tess::spmd

namespace tess {

template <class Spec>
struct extremum_has_no_gradient_spec {
  static_assert(detail::always_false<Spec>,
                "[sharding] a pending maximum or minimum is not linear, so it has no dual spec: reduce<> it first");
  static constexpr bool ok = true;
};

namespace detail {
template <class E>
struct beside_dual {
  using dims = P<E>;
  using partial = P<>;
  using reduced = P<>;
};
template <class... N>
struct beside_dual<Partial<N...>> {
  using dims = P<>;
  using partial = P<>;
  using reduced = P<Reduced<N...>>;
};
template <class... N>
struct beside_dual<Reduced<N...>> {
  using dims = P<>;
  using partial = P<Partial<N...>>;
  using reduced = P<>;
};
template <class E>
inline constexpr bool is_extremum = false;
template <class... N>
inline constexpr bool is_extremum<PartialMax<N...>> = true;
template <class... N>
inline constexpr bool is_extremum<PartialMin<N...>> = true;

template <class... Specs>
struct joined_specs;
template <class... E>
struct joined_specs<P<E...>> {
  using type = P<E...>;
};
template <class... A, class... B, class... Rest>
struct joined_specs<P<A...>, P<B...>, Rest...> : joined_specs<P<A..., B...>, Rest...> {};
template <class... E>
constexpr auto cotangent_of(P<E...>) {
  (void)sizeof(holds_or<!(is_extremum<E> || ...), extremum_has_no_gradient_spec<P<E...>>>);
  return typename joined_specs<P<>, typename beside_dual<E>::dims..., typename beside_dual<E>::partial...,
                               typename beside_dual<E>::reduced...>::type{};
}
}  // namespace detail

/// The spec of the gradient of a tensor with spec S: what is sharded stays sharded, what is whole stays whole, and
/// Partial ↔ Reduced. The gradient of reshard<To>(x) is reshard<cotangent<From>> of a gradient in cotangent<To>.
/// Source: JAX, to_ct_spec (docs/new_docs/301/sharding-ad.md).
template <AnySpec S>
using cotangent = decltype(detail::cotangent_of(S{}));

}  // namespace tess
