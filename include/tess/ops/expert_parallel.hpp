// Expert parallelism: tokens are sent to experts that lie over mesh axes, and return; or every device takes its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/expert_places.hpp"
#include "experts.hpp"

namespace tess {

/// Tokens that were sent to the devices of their experts: a token once to each device that holds one of them, whatever
/// number of them it holds. Every device has its own, and as a tensor room for all of its group, of P devices; those of
/// device p of the group are arrived[p] ... arrived[p + 1].
template <class Experts, AnyTensor X, class R, AnyTensor Arrived, AnyTensor HomeIds>
struct SentTokens {
  using experts = Experts;  // the axes over which the experts lie, as the entry of a spec
  X tokens;                 // [P·B·T, 1, D]
  R routes;                 // of these tokens: [P·B·T, 1, k], all their choices
  Arrived arrived;          // i32 [parts · (P + 1)]
  HomeIds home;             // i32 [B, T, k]: the choices of the tokens at home, by which results find back
  index_t expert_count;
};

namespace detail {
template <class>
inline constexpr bool is_sent = false;
template <class E, class X, class R, class A, class H>
inline constexpr bool is_sent<SentTokens<E, X, R, A, H>> = true;
}  // namespace detail
template <class S>
concept AnySentTokens = detail::is_sent<std::remove_cv_t<S>>;

template <class Experts, class Spec>
struct tokens_are_sharded_over_the_axes_of_their_experts {
  static_assert(detail::always_false<Experts>,
                "[dispatch] along the axes of the experts the devices have different tokens: dispatch(dev, "
                "send_tokens<A>(dev, x, routes, E)) brings them to their experts, or reshard<> them to be whole there");
  static constexpr bool ok = true;
};
template <class Experts, class Spec>
struct width_is_sharded_over_the_axes_of_experts {
  static_assert(detail::always_false<Experts>,
                "[dispatch] along the axes of the experts the devices have different parts of a token's width, and an "
                "expert needs all of it: reshard<> the tokens to contracting_spec<X, W>");
  static constexpr bool ok = true;
};

template <class Experts>
struct rows_belong_to_tokens_at_home {
  static_assert(detail::always_false<Experts>,
                "[combine] these rows are of tokens that are at home: combine(dev, rows, routes)");
  static constexpr bool ok = true;
};

namespace detail {
/// What the experts' axes are to tokens x [B, T, D]: those that shard them, and those along which only experts differ.
template <class A, class X>
struct expert_axes {
  static constexpr DimAxes all = spec_value<P<A>, typename X::mesh, 1>[0];
  static constexpr unsigned real = all.mask() & ~trivial_axes<typename X::mesh>();
  static constexpr unsigned sent = all.mask() & X::sharding[0].mask();
  static constexpr DimAxes local = all.without(X::sharding.sharded());
  using entry = dim_entry<typename X::mesh, spec_holder<P<A>, typename X::mesh, 1>, 0>;
};
/// Do tokens x lie elsewhere than their experts over A?
template <class A, class X>
inline constexpr bool must_be_sent = (expert_axes<A, X>::real & X::sharding[0].mask()) != 0;

template <class A, class X>
constexpr ExpertPlaces expert_places(index_t experts) {
  using axes = expert_axes<A, X>;
  constexpr MeshValue m = mesh_value<typename X::mesh>;
  if (experts % parts(m, axes::all) != 0)
    fail("[dispatch] ", experts, " experts do not divide over ", parts(m, axes::all), " devices");
  return {m, axes::all, axes::sent, experts};
}

/// rows P<b, d> of tokens P<b, None, d>: along axes where only the experts differ, each device has its own too.
template <class A, class X>
struct own_rows_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = grouped_spec<X>::value;
    for (int i = 0; i < expert_axes<A, X>::local.count; ++i) s[0].push(expert_axes<A, X>::local[i]);
    return s;
  }();
};
template <class A, class X>
struct own_tokens_spec {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = 1;
    s[0] = own_rows_spec<A, X>::value[0];
    return s;
  }();
};

template <class A, class X, class Ids, bool Sent>
constexpr auto expert_tokens_fact_of() {
  using M = typename X::mesh;
  using Spec = spec<typename X::spec>;
  using axes = expert_axes<A, X>;
  if constexpr (!std::is_same_v<sharding_fact<Shape<dyn>, P<A>, M>, nothing_wrong>)
    return std::type_identity<sharding_fact<Shape<dyn>, P<A>, M>>{};
  else if constexpr (!std::is_same_v<map_fact<X, X>, nothing_wrong>) return std::type_identity<map_fact<X, X>>{};
  else if constexpr (!(X::sharding[0] == Ids::sharding[0] && X::sharding[1].count == 0))
    return std::type_identity<operands_are_sharded_differently<lhs<typename X::spec>, rhs<typename Ids::spec>>>{};
  else if constexpr (!Sent && must_be_sent<A, X>)
    return std::type_identity<tokens_are_sharded_over_the_axes_of_their_experts<over<A>, Spec>>{};
  else if constexpr ((axes::real & X::sharding[2].mask()) != 0)
    return std::type_identity<width_is_sharded_over_the_axes_of_experts<over<A>, Spec>>{};
  else return std::type_identity<nothing_wrong>{};
}
/// What is wrong with tokens x for experts over A: nothing_wrong, or the error.
template <class A, class X, class Ids, bool Sent>
using expert_tokens_fact = typename decltype(expert_tokens_fact_of<A, X, Ids, Sent>())::type;

/// The rows of tokens x for a device's own experts, where they lie.
template <class A, bool Sent, class D, class X, class R, class... Arrived>
constexpr auto dispatch_here(D& dev, const X& x, const R& routes, index_t experts, const Arrived&... arrived) {
  using M = typename X::mesh;
  using axes = expert_axes<A, X>;
  using Rows = ShardedTensor<typename X::value_type, Shape<dyn, static_extent<typename X::shape>(2)>, M,
                             spec_type<M, own_rows_spec<A, X>>, D>;
  using Index = ShardedTensor<i32, Shape<dyn>, M, spec_type<M, own_tokens_spec<A, X>>, D>;
  const ExpertPlaces places = expert_places<A, X>(experts);
  const index_t k = routes.experts.extent(2), most = k < places.own() ? k : places.own();  // choices of a token here
  const index_t tokens = x.extent(0) * x.extent(1) * parts<M>(axes::local), groups = parts<M>(Rows::sharding[0]);
  Grouped<Rows, Index, Index, typename axes::entry, Sent> g{
      make<Rows>(dev, Extents<typename Rows::shape>::from({tokens * most, x.extent(2)})),
      make<Index>(dev, Extents<Shape<dyn>>{tokens * k}),
      make<Index>(dev, Extents<Shape<dyn>>{groups * (places.own() + 1)})};
  TESS_VERB(dev, dispatch_here, g.rows, g.positions, g.offsets, x, routes.experts, places, arrived...);
  return g;
}
}  // namespace detail

/// Experts over axes A (an axis, or Axes<...>), E of them in equal runs: x [B, T, D] P<b, None, d>, whole along A -> the
/// rows of the tokens that chose an expert of the device, P<Axes<b..., A...>, d>. Choices of experts elsewhere are left
/// out, so that combine() is pending over A. No bytes move.
template <class A, class D, AnyTensor X, class R>
constexpr auto dispatch(D& dev, const X& x, const R& routes, index_t experts) {
  static_assert(X::rank == 3, "[dispatch] x is [batch, tokens, width]");
  static_assert(detail::expert_tokens_fact<A, X, decltype(routes.experts), false>::ok);
  return detail::dispatch_here<A, false>(dev, x, routes, experts);
}

/// Experts over axes A, some of which shard the tokens x [B, T, D] P<b, None, d>: one all-to-all over those, P devices,
/// which takes each token, with its choices and weights, once to each device that holds one of its experts.
/// Bytes: who is sent what is for the routes to say. Billed is the most: all tokens of the other P - 1 devices, D elements,
/// k choices and k weights each, and a number i32 from each device. Host counts what is sent.
/// Source: GShard, arXiv 2006.16668 (the two all-to-all); once to each device: DeepEP, github.com/deepseek-ai/DeepEP.
template <class A, class D, AnyTensor X, class R>
constexpr auto send_tokens(D& dev, const X& x, const R& routes, index_t experts) {
  static_assert(X::rank == 3, "[send_tokens] x is [batch, tokens, width]");
  static_assert(detail::expert_tokens_fact<A, X, decltype(routes.experts), true>::ok);
  using M = typename X::mesh;
  using axes = detail::expert_axes<A, X>;
  using Ids = with_shape<decltype(routes.experts), Shape<dyn, 1, dyn>, typename decltype(routes.experts)::spec>;
  using Weights = with_type<Ids, f32>;
  using Tokens = with_shape<X, Shape<dyn, 1, detail::static_extent<typename X::shape>(2)>, typename X::spec>;
  using Arrived = ShardedTensor<i32, Shape<dyn>, M, spec_type<M, detail::token_spec<X>>, D>;
  const ExpertPlaces places = detail::expert_places<A, X>(experts);
  const index_t k = routes.experts.extent(2), n = places.group() * x.extent(0) * x.extent(1);
  SentTokens<typename axes::entry, Tokens, Routes<Ids, Weights>, Arrived, decltype(routes.experts)> sent{
      make<Tokens>(dev, Extents<typename Tokens::shape>::from({n, 1, x.extent(2)})),
      {make<Ids>(dev, Extents<typename Ids::shape>::from({n, 1, k})),
       make<Weights>(dev, Extents<typename Weights::shape>::from({n, 1, k}))},
      make<Arrived>(dev, Extents<Shape<dyn>>{parts<M>(X::sharding[0]) * (places.group() + 1)}),
      routes.experts,
      experts};
  TESS_VERB(dev, send_tokens, sent.tokens, sent.routes.experts, sent.routes.weights, sent.arrived, x, routes.experts,
            routes.weights, places);
  return sent;
}

/// The rows of the tokens that were sent here, for the experts that are here.
template <class D, AnySentTokens S>
constexpr auto dispatch(D& dev, const S& sent) {
  return detail::dispatch_here<typename S::experts, true>(dev, sent.tokens, sent.routes, sent.expert_count,
                                                          sent.arrived);
}

/// Of every token that was sent here the weighted sum over its choices that are here, f32, to be returned. A pending sum
/// stays pending.
template <class D, AnyGrouped G, AnySentTokens S>
constexpr auto combine(D& dev, const G& g, const S& sent) {
  using X = decltype(g.rows);
  using Weights = decltype(sent.routes.weights);
  static_assert(detail::holds_or<(G::sent && std::is_same_v<typename G::experts, typename S::experts>),
                                 rows_belong_to_tokens_at_home<over<typename G::experts>>>::ok);
  using Sums = ShardedTensor<f32, Shape<dyn, 1, detail::static_extent<typename X::shape>(1)>, typename X::mesh,
                             spec_type<typename X::mesh, detail::combined_spec<X, Weights>>, D>;
  Sums y = make<Sums>(dev, Extents<typename Sums::shape>::from({sent.tokens.extent(0), 1, g.rows.extent(1)}));
  TESS_VERB(dev, combine_here, y, g.rows, g.positions, sent.routes.weights, sent.arrived);
  return SentTokens<typename S::experts, Sums, decltype(sent.routes), decltype(sent.arrived), decltype(sent.home)>{
      y, sent.routes, sent.arrived, sent.home, sent.expert_count};
}

/// What combine() made of tokens that were sent, at home again: y [B, T, N] f32 P<b, None, n>, the sum over the devices
/// where a token was, in their order; zeros for a token without an expert. One all-to-all. A sum that is pending over other
/// axes stays pending: finish it here, where each token is once.
/// Bytes: from each device where a token was N elements. Billed is the most: all B·T of a device from P - 1 others, or from
/// k if these are fewer.
template <class D, AnySentTokens S>
constexpr auto return_tokens(D& dev, const S& sums) {
  using X = decltype(sums.tokens);
  using Y = with_shape<X, Shape<dyn, dyn, detail::static_extent<typename X::shape>(2)>, typename X::spec>;
  static_assert(std::is_same_v<typename X::value_type, f32>,
                "[return_tokens] sums come home, f32: combine() the rows of the experts first");
  const ExpertPlaces places = detail::expert_places<typename S::experts, X>(sums.expert_count);
  Y y =
      make<Y>(dev, Extents<typename Y::shape>::from({sums.home.extent(0), sums.home.extent(1), sums.tokens.extent(2)}));
  TESS_VERB(dev, return_tokens, y, sums.tokens, sums.arrived, sums.home, places);
  return y;
}

}  // namespace tess
