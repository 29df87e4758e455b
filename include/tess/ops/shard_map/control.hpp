// cond and switch_ on blocks: what comes out varies as what was chosen, and as the choice itself.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "permute.hpp"

namespace tess {

template <class Lhs, class Rhs>
struct branches_return_different_blocks {
  static_assert(
      detail::always_false<Lhs>,
      "[shard_map] the branches of a cond, or what goes into a loop and what comes out of its body, must have "
      "equal element types and local shapes, and be pending over the same axes");
  static constexpr bool ok = true;
};
template <class Function>
struct branch_holds_something {
  static_assert(
      detail::always_false<Function>,
      "[shard_map] devices go different ways here, and a block that a branch has captured would escape the check of "
      "its collectives: capture nothing, and pass blocks as arguments");
  static constexpr bool ok = true;
};
template <class Predicate>
struct predicate_is_no_scalar {
  static_assert(detail::always_false<Predicate>,
                "[shard_map] a predicate is a scalar block of bool that is not pending, e.g. sum(x) > 0");
  static constexpr bool ok = true;
};
template <class Bound>
struct bound_is_no_number {
  static_assert(
      detail::always_false<Bound>,
      "[shard_map] the bounds of a fori_loop and the index of a switch_ are numbers or scalar blocks of integers "
      "that are not pending");
  static constexpr bool ok = true;
};

/// What a loop carries, where it is more than one block, and what a function of blocks returns, where it is several: its
/// body ends in `return carry(a, b)`.
template <class... B>
using Carry = std::tuple<B...>;
template <AnyBlock... B>
constexpr Carry<B...> carry(const B&... blocks) {
  return Carry<B...>(blocks...);
}

namespace blocks {

// ---- states: blocks under a varying predicate, and two ways that come together

template <class X, unsigned Axes>
struct diverged {
  static constexpr VaryingValue value = [] {
    VaryingValue v = X::state;
    v.diverging |= Axes;
    return v;
  }();
};
/// Varying over Axes too, which takes nothing away; and out of the branch again.
template <class X, unsigned Axes, unsigned Diverging>
struct rejoined {
  static constexpr VaryingValue value = [] {
    VaryingValue v = X::state;
    v.varying |= Axes & ~v.partial;
    v.reduced &= ~Axes;
    v.diverging = Diverging;
    return v;
  }();
};
/// The state that both have after free casts: varying where one of them is.
template <class A, class B>
struct either {
  static constexpr rules::JoinVerdict verdict = joined<fn::Add, A, B>::verdict;  // pending both, or neither
  static constexpr VaryingValue value = verdict.result;
};

template <class X, class Holder>
using in_state = Block<typename X::value_type, typename X::shape, typename X::mesh,
                       state_type<typename X::mesh, Holder>, typename X::device>;
template <class To, class X>
constexpr To as(const X& x) {
  return Inside::restate<typename To::varying>(x);
}

/// A branch runs with arguments that know over which axes devices have parted. Numbers and empty functions pass through;
/// what else might hold a block that does not know.
template <unsigned Axes, class X>
constexpr auto part_ways(const X& x) {
  if constexpr (is_block<X>) {
    return as<in_state<X, diverged<X, Axes>>>(x);
  } else {
    static_assert(
        is_refused<X> || std::is_arithmetic_v<X> || std::is_empty_v<X> || Axes == 0,
        "[shard_map] arguments of a branch are blocks, carries of blocks, numbers and functions that hold nothing");
    return x;
  }
}
template <unsigned Axes, class... X>
constexpr auto part_ways(const Carry<X...>& x) {
  return std::apply(
      [](const X&... each) { return Carry<decltype(part_ways<Axes>(each))...>(part_ways<Axes>(each)...); }, x);
}

template <class A, class B>
constexpr auto meet_fact_of() {
  if constexpr (any_refused<A, B>) return first_refusal<A, B>{};
  else
    return std::type_identity<holds_or<std::is_same_v<typename A::value_type, typename B::value_type> &&
                                           std::is_same_v<typename A::shape, typename B::shape> &&
                                           either<A, B>::verdict.fault == rules::JoinFault::none,
                                       branches_return_different_blocks<lhs<A>, rhs<B>>>>{};
}
/// The broken rule where two ways come together.
template <class A, class B>
using meet_fact = typename decltype(meet_fact_of<A, B>())::type;

template <class Pred, class... F>
constexpr auto predicate_fact_of() {
  if constexpr (is_refused<Pred>) return first_refusal<Pred>{};
  else if constexpr (Pred::rank != 0 || !std::is_same_v<typename Pred::value_type, bool> || Pred::state.partial != 0)
    return std::type_identity<predicate_is_no_scalar<Pred>>{};
  else if constexpr (Pred::state.varying != 0 && !(std::is_empty_v<F> && ...))
    return std::type_identity<branch_holds_something<nth_t<0, F...>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class Pred, class... F>
using predicate_fact = typename decltype(predicate_fact_of<Pred, F...>())::type;

template <class X>
constexpr auto integer_fact_of() {
  if constexpr (is_refused<X>) return first_refusal<X>{};
  else
    return std::type_identity<holds_or<
        X::rank == 0 && std::is_integral_v<typename X::value_type> && X::state.partial == 0, bound_is_no_number<X>>>{};
}
template <class X>
using integer_fact = typename decltype(integer_fact_of<X>())::type;

}  // namespace blocks

/// f(args...) where `pred` holds, else g(args...): blocks of one type and shape. The result varies over all axes over which
/// one of the two varies, and over those over which the predicate does (JAX forgets these).
/// Where the predicate is equal on all devices, one branch runs; the bill is that of the dearer one. Where it varies, both
/// run and are billed, as some device takes each; a collective over an axis along which devices part does not compile.
template <AnyBlock Pred, class F, class G, class... X>
constexpr auto cond(const Pred& pred, F f, G g, const X&... args) {
  using fact = blocks::predicate_fact<Pred, F, G>;
  (void)sizeof(blocks::reported<fact, Pred>);
  if constexpr (!blocks::holds<fact>) {
    return Refused<fact>{};
  } else {
    constexpr unsigned axes = Pred::state.varying;
    using A = decltype(f(blocks::part_ways<axes>(args)...));
    using B = decltype(g(blocks::part_ways<axes>(args)...));
    using meet = blocks::meet_fact<A, B>;
    (void)sizeof(blocks::reported<meet, A, B, Pred>);
    if constexpr (!blocks::holds<meet>) {
      return Refused<meet>{};
    } else {
      using Both = blocks::in_state<A, blocks::either<A, B>>;
      if constexpr (axes == 0) {
        return blocks::Inside::device(pred).choose(
            blocks::Inside::local(pred), [&] { return blocks::as<Both>(f(args...)); },
            [&] { return blocks::as<Both>(g(args...)); });
      } else {
        const auto chosen = where(pred, blocks::as<Both>(f(blocks::part_ways<axes>(args)...)),
                                  blocks::as<Both>(g(blocks::part_ways<axes>(args)...)));
        using C = std::remove_const_t<decltype(chosen)>;
        return blocks::as<blocks::in_state<C, blocks::rejoined<C, axes, Pred::state.diverging>>>(chosen);
      }
    }
  }
}

namespace blocks {
/// The branches of a switch_ behind the first, as the other branch of a cond.
template <class... F>
struct Others;
template <class Last>
struct Others<Last> {
  template <class I, class... X>
  constexpr auto operator()(const I&, const X&... args) const {
    return Last{}(args...);
  }
};
template <class First>
struct Only {
  template <class I, class... X>
  constexpr auto operator()(const I&, const X&... args) const {
    return First{}(args...);
  }
};
template <class First, class Second, class... F>
struct Others<First, Second, F...> {
  template <class I, class... X>
  constexpr auto operator()(const I& index, const X&... args) const {
    return cond(index < 1, Only<First>{}, Others<Second, F...>{}, index - 1, args...);
  }
};
}  // namespace blocks

/// The branches of a switch_: functions that hold nothing.
template <class... F>
struct Branches {
  constexpr explicit Branches(F...) {}
};

/// Branch number `index`, an integer scalar; the first below 0, the last above, as in JAX.
template <AnyBlock Index, class... F, class... X>
constexpr auto switch_(const Index& index, Branches<F...>, const X&... args) {
  using fact = blocks::integer_fact<Index>;
  (void)sizeof(blocks::reported<fact, Index>);
  static_assert((std::is_empty_v<F> && ...),
                "[shard_map] the branches of a switch_ hold nothing: pass blocks as arguments");
  if constexpr (!blocks::holds<fact>) return Refused<fact>{};
  else return blocks::Others<F...>{}(index, args...);
}

}  // namespace tess
