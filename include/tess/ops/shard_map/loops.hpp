// while_loop and fori_loop on blocks: the carry is widened until the body no longer changes its type.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "control.hpp"

namespace tess {

namespace blocks {

template <class X>
constexpr auto carried(const X& x) {
  return Carry<X>(x);
}
template <class... X>
constexpr auto carried(const Carry<X...>& x) {
  return x;
}
template <class X>
constexpr auto uncarried(const Carry<X>& x) {
  return std::get<0>(x);
}
template <class X, class Y, class... Z>
constexpr auto uncarried(const Carry<X, Y, Z...>& x) {
  return x;
}

template <class C, unsigned Axes>
struct carry_apart;
template <class... X, unsigned Axes>
struct carry_apart<Carry<X...>, Axes> {
  using type = Carry<in_state<X, diverged<X, Axes>>...>;
};

/// What a predicate says of a carry: over which axes it varies, or what is wrong.
template <class Pred, class C>
struct predicate_of;
template <class Pred, class... X>
struct predicate_of<Pred, Carry<X...>> {
  using type = decltype(std::declval<Pred>()(std::declval<X>()...));
};
template <class Body, class C>
struct result_of;
template <class Body, class... X>
struct result_of<Body, Carry<X...>> {
  using type = decltype(carried(std::declval<Body>()(std::declval<X>()...)));
};

template <class A, class B>
struct carries_meet {
  using type = branches_return_different_blocks<lhs<A>, rhs<B>>;
};
template <class... A, class... B>
requires(sizeof...(A) == sizeof...(B)) struct carries_meet<Carry<A...>, Carry<B...>> {
  template <class First, class... Rest>
  static constexpr auto first() {
    if constexpr (!holds<First> || sizeof...(Rest) == 0) return std::type_identity<First>{};
    else return first<Rest...>();
  }
  using type = typename decltype(first<meet_fact<A, B>...>())::type;
};

template <unsigned Axes, class A, class B>
struct widened {
  static constexpr VaryingValue value = [] {
    VaryingValue v = either<A, B>::value;
    v.varying |= Axes & ~v.partial;
    v.reduced &= ~Axes;
    v.diverging = A::state.diverging;
    return v;
  }();
};
template <unsigned Axes, class A, class B>
struct widen_carry;
template <unsigned Axes, class... A, class... B>
struct widen_carry<Axes, Carry<A...>, Carry<B...>> {
  using type = Carry<in_state<A, widened<Axes, A, B>>...>;
};

template <class C>
inline constexpr bool carries_refusal = is_refused<C>;
template <class... X>
inline constexpr bool carries_refusal<Carry<X...>> = any_refused<X...>;

/// The carry's types after as many turns as it takes; `fact` is what went wrong on the way, `Said` whether that was
/// reported there.
template <class Fact, bool Said, class C = void, unsigned Axes = 0>
struct LoopTypes {
  using fact = Fact;
  using report = std::conditional_t<Said, nothing_wrong, Fact>;
  using carry = C;
  static constexpr unsigned axes = Axes;
};
template <class Pred, class Body, class C>
constexpr auto loop_types() {
  using P0 = typename predicate_of<Pred, C>::type;
  using pred_fact = predicate_fact<P0, Pred, Body>;
  if constexpr (!holds<pred_fact>) {
    return LoopTypes<pred_fact, is_refused<P0>>{};
  } else {
    constexpr unsigned axes = P0::state.varying;
    using Apart = typename carry_apart<C, axes>::type;
    using Asked = typename predicate_of<Pred, Apart>::type;  // devices that are done are not asked again
    using Turned = typename result_of<Body, Apart>::type;
    using fact = std::conditional_t<is_refused<Asked>, typename first_refusal<Asked>::type,
                                    typename carries_meet<C, Turned>::type>;
    if constexpr (!holds<fact>) {
      return LoopTypes < fact, carries_refusal<Turned> || is_refused < Asked >> {};
    } else {
      using Wider = typename widen_carry<axes, C, Turned>::type;
      if constexpr (std::is_same_v<Wider, C>) return LoopTypes<nothing_wrong, true, C, axes>{};
      else return loop_types<Pred, Body, Wider>();
    }
  }
}

template <class To, class From, std::size_t... I>
constexpr To as_carry(const From& from, std::index_sequence<I...>) {
  return To(as<std::tuple_element_t<I, To>>(std::get<I>(from))...);
}
template <class C, class Pred, std::size_t... I>
constexpr C where_carry(const Pred& pred, const C& next, const C& now, std::index_sequence<I...>) {
  return C(as<std::tuple_element_t<I, C>>(where(pred, std::get<I>(next), std::get<I>(now)))...);
}
}  // namespace blocks

/// carry = body(carry...) as long as pred(carry...) holds; returns the carry, a Carry of several. Where the predicate
/// varies, devices that are done keep what they have, the carry varies over its axes, and collectives over them do not
/// compile. Values say how often it turns, so a body that moves bytes has no bill: Dry throws.
template <class Pred, class Body, AnyBlock... X>
constexpr auto while_loop(Pred pred, Body body, const X&... start) {
  if constexpr (blocks::any_refused<X...>) {
    return Refused<typename blocks::first_refusal<X...>::type>{};
  } else {
    using types = decltype(blocks::loop_types<Pred, Body, Carry<X...>>());
    (void)sizeof(blocks::reported<typename types::report, X...>);
    if constexpr (!blocks::holds<typename types::fact>) {
      return Refused<typename types::fact>{};
    } else {
      using C = typename types::carry;
      constexpr auto each = std::index_sequence_for<X...>{};
      C now = blocks::as_carry<C>(Carry<X...>(start...), each);
      auto& dev = blocks::Inside::device(std::get<0>(now));
      dev.repeat_while([&] {
        const auto go_on =
            std::apply([&](const auto&... x) { return pred(blocks::part_ways<types::axes>(x)...); }, now);
        if (!dev.anywhere(blocks::Inside::local(go_on))) return false;
        const auto turned = std::apply(
            [&](const auto&... x) { return blocks::carried(body(blocks::part_ways<types::axes>(x)...)); }, now);
        const C next = blocks::as_carry<C>(turned, each);
        if constexpr (types::axes == 0) now = next;
        else now = blocks::where_carry(go_on, next, now, each);
        return true;
      });
      return blocks::uncarried(now);
    }
  }
}

namespace blocks {
struct BelowBound {
  template <class I, class N, class... X>
  constexpr auto operator()(const I& i, const N& bound, const X&...) const {
    return i < bound;
  }
};
template <class Body>
struct CountedBody : Body {
  template <class I, class N, class... X>
  constexpr auto operator()(const I& i, const N& bound, const X&... x) const {
    const auto next = Body::operator()(i, x...);
    if constexpr (is_refused<std::remove_const_t<decltype(next)>>) return next;
    else return std::tuple_cat(Carry<decltype(i + 1), N>(i + 1, bound), carried(next));
  }
};
template <class I, class N, class... X>
constexpr auto without_counter(const Carry<I, N, X...>& c) {
  return std::apply([](const auto&, const auto&, const auto&... x) { return uncarried(Carry<X...>(x...)); }, c);
}
template <class R>
requires(is_refused<R>) constexpr auto without_counter(const R& r) { return r; }
template <class X>
constexpr auto counter(const X& like, index_t n) {
  return full<Shape<>, i32>(like, static_cast<i32>(n));
}
template <class N, class X>
constexpr auto bound_of(const N& n, const X& like) {
  if constexpr (AnyBlock<N>) return n;
  else return counter(like, n);
}
/// What a turn of a loop between numbers gives, and its predicate, for their types alone.
template <class I, class Body>
struct Turn {
  template <class... X>
  auto operator()(const X&... x) const -> decltype(std::declval<const Body&>()(std::declval<const I&>(), x...));
};
template <class I>
struct Forever {
  template <class... X>
  auto operator()(const X&...) const -> Block<bool, Shape<>, typename I::mesh, typename I::varying, typename I::device>;
};
template <class N>
concept Bound = AnyBlock<N> || std::is_integral_v<N>;
/// Bounds that are blocks are integer scalars.
template <class First, class Last>
constexpr auto bounds_fact_of() {
  if constexpr (AnyBlock<First>) {
    if constexpr (!holds<integer_fact<First>>) return std::type_identity<integer_fact<First>>{};
    else if constexpr (AnyBlock<Last>) return std::type_identity<integer_fact<Last>>{};
    else return std::type_identity<nothing_wrong>{};
  } else if constexpr (AnyBlock<Last>) {
    return std::type_identity<integer_fact<Last>>{};
  } else {
    return std::type_identity<nothing_wrong>{};
  }
}
template <class First, class Last>
using bounds_fact = typename decltype(bounds_fact_of<First, Last>())::type;

}  // namespace blocks

/// body(i, carry...) for i = first ... last - 1; i is a scalar i32 block. Between two numbers the bill is known, whatever
/// the body moves; a bound that is a block makes a while_loop of it.
template <blocks::Bound First, blocks::Bound Last, class Body, AnyBlock... X>
constexpr auto fori_loop(const First& first, const Last& last, Body body, const X&... start) {
  if constexpr (blocks::any_refused<X..., First, Last>) {
    return Refused<typename blocks::first_refusal<X..., First, Last>::type>{};
  } else if constexpr (!blocks::holds<blocks::bounds_fact<First, Last>>) {
    (void)sizeof(blocks::reported<blocks::bounds_fact<First, Last>, X...>);
    return Refused<blocks::bounds_fact<First, Last>>{};
  } else if constexpr (AnyBlock<First> || AnyBlock<Last>) {
    const auto& like = std::get<0>(std::tie(start...));
    return blocks::without_counter(while_loop(blocks::BelowBound{}, blocks::CountedBody<Body>{body},
                                              blocks::bound_of(first, like), blocks::bound_of(last, like), start...));
  } else {
    const auto& like = std::get<0>(std::tie(start...));
    using I = std::remove_const_t<decltype(blocks::counter(like, index_t{0}))>;
    using types = decltype(blocks::loop_types<blocks::Forever<I>, blocks::Turn<I, Body>, Carry<X...>>());
    (void)sizeof(blocks::reported<typename types::report, X...>);
    if constexpr (!blocks::holds<typename types::fact>) {
      return Refused<typename types::fact>{};
    } else {
      using C = typename types::carry;
      constexpr auto each = std::index_sequence_for<X...>{};
      C now = blocks::as_carry<C>(Carry<X...>(start...), each);
      blocks::Inside::device(like).repeat(last - first, [&](index_t i) {
        const auto turned = std::apply(
            [&](const auto&... x) { return blocks::carried(body(blocks::counter(like, first + i), x...)); }, now);
        now = blocks::as_carry<C>(turned, each);
      });
      return blocks::uncarried(now);
    }
  }
}

}  // namespace tess
