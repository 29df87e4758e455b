// Tokens grouped by expert: route, dispatch, products per expert, combine. No token moves between devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/token_group.hpp"
#include "elementwise.hpp"
#include "reshard.hpp"

namespace tess {

template <class Policy, class Spec>
struct a_policy_of_groups_sees_all_tokens_of_a_row {
  static_assert(detail::always_false<Policy>,
                "[route] this policy decides for all tokens of a row together, and they are sharded: gather<1> the "
                "logits first");
  static constexpr bool ok = true;
};
template <class Spec>
struct what_is_given_to_a_policy_is_whole {
  static_assert(detail::always_false<Spec>,
                "[route] what a policy is given besides the logits, such as a correction bias, is f32 [E], whole on "
                "every device: gather<0> it first");
  static constexpr bool ok = true;
};

/// For every token the chosen experts, best first, and their weights. Expert -1 (no_expert) is a choice of none:
/// dropped by a policy with capacity, or left to another device.
template <AnyTensor Ids, AnyTensor Weights>
struct Routes {
  Ids experts;      // i32 [B, T, k]
  Weights weights;  // f32 [B, T, k]
};

/// Rows in the order of their experts. `offsets[e] ... offsets[e + 1]` are the rows of expert e on each device; rows
/// from offsets[E] on belong to choices of no expert, and nobody reads or writes them. `Experts`, the entry of a spec,
/// says over which mesh axes the experts are distributed (ops/expert_parallel.hpp); None: every device has all. `Sent`:
/// the rows are of tokens that came from other devices.
template <AnyTensor X, AnyTensor Positions, AnyTensor Offsets, class Experts = None, bool Sent = false>
struct Grouped {
  using experts = Experts;
  static constexpr bool sent = Sent;
  X rows;               // [B·T·k, D]
  Positions positions;  // i32 [B·T·k]: where row (token, choice) went; -1: nowhere
  Offsets offsets;      // i32 [parts · (E + 1)], each device its own
};

namespace detail {
template <class>
inline constexpr bool is_grouped = false;
template <class X, class P, class O, class E, bool S>
inline constexpr bool is_grouped<Grouped<X, P, O, E, S>> = true;

/// Other rows of the same groups.
template <class R, class X, class P, class O, class E, bool S>
constexpr auto regroup(R rows, const Grouped<X, P, O, E, S>& g) {
  return Grouped<R, P, O, E, S>{std::move(rows), g.positions, g.offsets};
}

/// x [B, T, D] P<b, None, d, ...> -> rows [B·T·k, D] P<b, d, ...>
template <class X>
struct grouped_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    s.rank = 2;
    s[1] = X::sharding[2];
    s[2] = {};
    return s;
  }();
};
template <class X>
struct token_spec {
  static constexpr SpecValue value = [] {
    SpecValue s;
    s.rank = 1;
    s[0] = X::sharding[0];
    return s;
  }();
};
/// rows P<b, d, Partial<p>> -> [B, T, D] P<b, None, d, Partial<p>>. Along axes of the rows that are none of the tokens'
/// the devices have summed other experts' rows of the same tokens: addends as well.
template <class R, class Weights>
struct combined_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = R::sharding;
    s.rank = 3;
    s[0] = Weights::sharding[0];
    s[1] = {};
    s[2] = R::sharding[1];
    s.pend(s.partial | (R::sharding[0].mask() & ~Weights::sharding[0].mask()), s.kind);
    return s;
  }();
};

/// How dimension D of X is sharded, as an entry of a spec.
template <class X, int D>
using entry_of = dim_entry<typename X::mesh, spec_holder<typename X::spec, typename X::mesh, X::rank>, D>;
}  // namespace detail
template <class Rows, class Weights>
struct experts_are_distributed_differently {
  static_assert(detail::always_false<Rows>,
                "[experts] the rows are grouped for experts over other mesh axes than the weights' first dimension: "
                "dispatch<A>() for the axes A of the weights, after send_tokens<A>() where A shards the tokens, or "
                "gather the weights");
  static constexpr bool ok = true;
};
template <class Experts>
struct rows_belong_to_tokens_that_were_sent {
  static_assert(detail::always_false<Experts>,
                "[combine] these rows are of tokens that were sent to their experts, and so were their routes: "
                "return_tokens(dev, combine(dev, rows, sent))");
  static constexpr bool ok = true;
};

namespace detail {
/// Experts [E, ...] must lie as those that the rows are grouped for, names and all.
template <class G, class W>
using experts_fact = holds_or<std::is_same_v<typename G::experts, entry_of<W, 0>>,
                              experts_are_distributed_differently<lhs<typename G::experts>, rhs<entry_of<W, 0>>>>;
}  // namespace detail
template <class G>
concept AnyGrouped = detail::is_grouped<std::remove_cv_t<G>>;

namespace detail {
template <class Choose, class... Given>
concept DecidesForGroups = requires(const Choose& choose, const TokenGroup& g, const Given&... given) {
  choose.group(g, given...);
};
template <class>
using given_span = std::span<const f32>;

/// Choices a token that a policy makes room for: k, unless it says otherwise.
template <class Choose>
constexpr index_t choices(const Choose& choose, index_t k, index_t experts) {
  if constexpr (requires { choose.choices(k, experts); }) return choose.choices(k, experts);
  else return k;
}

template <class... Fact>
struct first_fault : std::type_identity<nothing_wrong> {};
template <class Fact, class... More>
struct first_fault<Fact, More...>
    : std::conditional_t<std::is_same_v<Fact, nothing_wrong>, first_fault<More...>, std::type_identity<Fact>> {};

template <class Given>
constexpr bool is_whole_row() {
  constexpr bool f32_row = Given::rank == 1 && std::is_same_v<typename Given::value_type, f32>;
  return f32_row && Given::sharding.partial == 0 &&
         Given::sharding[0].without(trivial_axes<typename Given::mesh>()).count == 0;
}
template <class Given>
using given_fact = holds_or<is_whole_row<Given>(), what_is_given_to_a_policy_is_whole<spec<typename Given::spec>>>;

template <class Choose, class Logits, class... Given>
constexpr auto route_fact_of() {
  constexpr bool tokens_are_whole = Logits::sharding[1].without(trivial_axes<typename Logits::mesh>()).count == 0;
  if constexpr (!std::is_same_v<rows_fact<Logits>, nothing_wrong>) {
    return std::type_identity<rows_fact<Logits>>{};
  } else if constexpr (DecidesForGroups<Choose, given_span<Given>...> && !tokens_are_whole) {
    return std::type_identity<a_policy_of_groups_sees_all_tokens_of_a_row<Choose, spec<typename Logits::spec>>>{};
  } else {
    return first_fault<given_fact<Given>...>{};
  }
}
template <class Choose, class Logits, class... Given>
using route_fact = typename decltype(route_fact_of<Choose, Logits, Given...>())::type;

template <class D, class Choose, class Logits, class... Given>
constexpr auto route(D& dev, index_t k, const Choose& choose, const Logits& logits, const Given&... given) {
  static_assert(Logits::rank == 3, "[route] logits are [batch, tokens, experts]");
  static_assert(route_fact<Choose, Logits, Given...>::ok);
  using S = with_last<typename Logits::shape, dyn>;
  using Ids = ShardedTensor<i32, S, typename Logits::mesh, typename Logits::spec, D>;
  using Weights = with_type<Ids, f32>;
  if constexpr (!std::is_same_v<route_fact<Choose, Logits, Given...>, nothing_wrong>) {
    return Routes<Ids, Weights>{};
  } else {
    const index_t experts = logits.extent(2);
    if (k < 1 || k > experts) fail("[route] ", k, " experts a token were asked for, of ", experts);
    const auto check = [experts](index_t n) {
      if (n != experts) fail("[route] a policy is given a row of ", n, " numbers for ", experts, " experts");
    };
    (check(given.extent(0)), ...);
    if constexpr (requires { choose.check(experts); }) choose.check(experts);
    const auto extents = extents_with_last<S>(logits.extents(), choices(choose, k, experts));
    Routes<Ids, Weights> r{make<Ids>(dev, extents), make<Weights>(dev, extents)};
    TESS_VERB(dev, route, r.experts, r.weights, logits, choose, given...);
    return r;
  }
}
}  // namespace detail

/// logits f32 [B, T, E] -> the k experts of every token. `choose(logits, experts, weights)` is called on one row at a
/// time with spans of E, k and k; it is the routing policy (nn/router_policies.hpp). A policy that takes a number first
/// is told that of the token on its device. A policy with `group` decides for all tokens of a row of the batch together
/// (device/token_group.hpp; nn/router_capacity.hpp), one with `choices(k, E)` says how many choices a token has, and
/// one with `check(E)` throws where it cannot decide among so many. E unsharded.
template <class D, class Choose, AnyTensor Logits>
constexpr auto route(D& dev, const Logits& logits, index_t k, Choose choose) {
  return detail::route(dev, k, choose, logits);
}
/// The same with a correction f32 [E], given to the policy after the logits: `choose(logits, correction, experts,
/// weights)`.
template <class D, class Choose, AnyTensor Logits, AnyTensor Correction>
constexpr auto route(D& dev, const Logits& logits, const Correction& correction, index_t k, Choose choose) {
  return detail::route(dev, k, choose, logits, correction);
}

/// x [B, T, D] -> the routed copies of every token's row, grouped by expert, in token order within an expert.
/// Tokens and routes must be sharded alike; each device groups its own.
template <class D, AnyTensor X, class R>
constexpr auto dispatch(D& dev, const X& x, const R& routes, index_t experts) {
  using M = typename X::mesh;
  using Ids = decltype(routes.experts);
  static_assert(X::rank == 3, "[dispatch] x is [batch, tokens, width]");
  static_assert(detail::map_fact<X, X>::ok);
  static_assert(detail::holds_or<(X::sharding[0] == Ids::sharding[0] && X::sharding[1].count == 0),
                                 operands_are_sharded_differently<lhs<typename X::spec>, rhs<typename Ids::spec>>>::ok);
  using Rows = ShardedTensor<typename X::value_type, Shape<dyn, detail::static_extent<typename X::shape>(2)>, M,
                             spec_type<M, detail::grouped_spec<X>>, D>;
  using Index = ShardedTensor<i32, Shape<dyn>, M, spec_type<M, detail::token_spec<X>>, D>;
  const index_t k = routes.experts.extent(2), n = x.extent(0) * x.extent(1) * k;
  const index_t groups = parts<M>(X::sharding[0]);
  Grouped<Rows, Index, Index> g{make<Rows>(dev, Extents<typename Rows::shape>::from({n, x.extent(2)})),
                                make<Index>(dev, Extents<Shape<dyn>>{n}),
                                make<Index>(dev, Extents<Shape<dyn>>{groups * (experts + 1)})};
  TESS_VERB(dev, dispatch, g.rows, g.positions, g.offsets, x, routes.experts);
  return g;
}

/// rows of expert e · w[e] [K, N]: the typing rule of matmul, with w [E, K, N], E over the axes for which the rows are
/// grouped. Only routed experts are computed.
template <class Y = f32, class D, AnyGrouped G, AnyTensor W>
constexpr auto matmul(D& dev, const G& g, const W& w) {
  using X = decltype(g.rows);
  static_assert(W::rank == 3, "[matmul] the weights of experts are [E, K, N]");
  static_assert(detail::experts_fact<G, W>::ok);
  static_assert(detail::matmul_fact<X, W>::ok);
  using S = Shape<dyn, detail::static_extent<typename W::shape>(2)>;
  using R = ShardedTensor<Y, S, typename X::mesh, spec_type<typename X::mesh, detail::matmul_result<X, W>>, D>;
  if (g.rows.extent(1) != w.extent(1))
    fail("[matmul] contracted_extents_differ: the rows have extent ", g.rows.extent(1), ", the experts' weights ",
         w.extent(1));
  R y = make<R>(dev, Extents<S>::from({g.rows.extent(0), w.extent(2)}));
  TESS_VERB(dev, grouped_matmul, y, g.rows, w, g.offsets);
  return detail::regroup(std::move(y), g);
}

namespace detail {
/// The bias of one expert: [N] P<n, Partial<p>> of [E, N] P<e, n, Partial<p>>.
template <class B>
struct bias_row {
  static constexpr SpecValue value = [] {
    SpecValue s = B::sharding;
    s.rank = 1;
    s[0] = B::sharding[1];
    s[1] = {};
    return s;
  }();
};
template <class X, class B>
constexpr auto grouped_bias_fact_of() {
  using M = typename B::mesh;
  using Row = ShardedTensor<typename B::value_type, Shape<static_extent<typename B::shape>(1)>, M,
                            spec_type<M, bias_row<B>>, typename B::device>;
  using fact = elementwise_fact<fn::Add, X, Row>;
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return std::type_identity<fact>{};
  } else {
    constexpr unsigned trivial = trivial_axes<M>();
    constexpr bool alike = X::sharding[1].without(trivial) == B::sharding[1].without(trivial);
    return std::type_identity<
        holds_or<alike, operands_are_sharded_differently<lhs<typename X::spec>, rhs<typename B::spec>>>>{};
  }
}
template <class X, class B>
using grouped_bias_fact = typename decltype(grouped_bias_fact_of<X, B>())::type;
}  // namespace detail

/// Elementwise functions, casts and the verbs act on the rows. A reshard may not move rows between devices: they are
/// grouped there.
template <class Y, class D, class F, AnyGrouped G, AnyGrouped... Others>
constexpr auto map(D& dev, F f, const G& g, const Others&... others) {
  using X = decltype(g.rows);
  static_assert(detail::elementwise_fact<F, X, decltype(others.rows)...>::ok);
  using R = detail::mapped_type<Y, F, X, decltype(others.rows)...>;
  if constexpr (!Mappable<F, X, decltype(others.rows)...>) {
    return detail::regroup(R{}, g);
  } else {
    R y = make<R>(dev, detail::joined_extents<typename R::shape>(g.rows, others.rows...));
    if constexpr (detail::lies_as<R, X>() && (detail::lies_as<R, decltype(others.rows)>() && ...))
      TESS_VERB(dev, map_grouped, f, y, g.offsets, g.rows, others.rows...);
    else TESS_VERB(dev, map_broadcast, f, y, g.rows, others.rows...);
    return detail::regroup(y, g);
  }
}
/// Every row + its expert's bias, bias [E, N] P<None, n> for rows P<b, n>. As of any sum, both are pending or neither
/// is: a whole bias becomes Partial for nothing, and is then added once.
template <class D, AnyGrouped G, AnyTensor B>
constexpr auto add_bias(D& dev, const G& g, const B& bias) {
  using X = decltype(g.rows);
  static_assert(B::rank == 2, "[add_bias] the biases of experts are [E, N]");
  static_assert(detail::experts_fact<G, B>::ok);
  static_assert(detail::grouped_bias_fact<X, B>::ok);
  X y = make<X>(dev, g.rows.extents());
  if constexpr (std::is_same_v<detail::grouped_bias_fact<X, B>, nothing_wrong>) {
    if (bias.extent(1) != g.rows.extent(1))
      fail("[add_bias] the experts' biases have extent ", bias.extent(1), ", the rows ", g.rows.extent(1));
    TESS_VERB(dev, add_grouped_bias, y, g.rows, bias, g.offsets);
  }
  return detail::regroup(y, g);
}
template <AnySpec To, class D, AnyGrouped G>
constexpr auto reshard(D& dev, const G& g) {
  using X = decltype(g.rows);
  static_assert(spec_value<To, typename X::mesh, 2>[0] == X::sharding[0],
                "[reshard] rows grouped by expert cannot move between devices: reshard before dispatch()");
  return detail::regroup(reshard<To>(dev, g.rows), g);
}
template <class D, AnyGrouped G>
constexpr auto reduce(D& dev, const G& g) {
  return detail::regroup(reduce(dev, g.rows), g);
}

/// y[token] = sum over its choices, in order, of weight · row: f32 [B, T, D]. Linear, so a pending sum stays pending.
template <class D, AnyGrouped G, class R>
constexpr auto combine(D& dev, const G& g, const R& routes) {
  using X = decltype(g.rows);
  using M = typename X::mesh;
  using S = Shape<dyn, dyn, detail::static_extent<typename X::shape>(1)>;
  static_assert(detail::holds_or<!G::sent, rows_belong_to_tokens_that_were_sent<over<typename G::experts>>>::ok);
  using Out = ShardedTensor<f32, S, M, spec_type<M, detail::combined_spec<X, decltype(routes.weights)>>, D>;
  Out y = make<Out>(dev, Extents<S>::from({routes.weights.extent(0), routes.weights.extent(1), g.rows.extent(1)}));
  TESS_VERB(dev, combine, y, g.rows, g.positions, routes.weights);
  return y;
}

/// combine(matmul(g, w)): specs and numbers of the two, in one kernel where the device has one for both.
template <class D, AnyGrouped G, AnyTensor W, class R>
constexpr auto matmul_combine(D& dev, const G& g, const W& w, const R& routes) {
  using Rows = decltype(matmul(dev, g, w));
  using Y = decltype(combine(dev, std::declval<const Rows&>(), routes));
  if constexpr (requires(Y & y) { dev.grouped_matmul_combine(y, g.rows, w, g.offsets, g.positions, routes.weights); }) {
    if (g.rows.extent(1) == w.extent(1)) {
      const std::array<index_t, 3> extents{routes.weights.extent(0), routes.weights.extent(1), w.extent(2)};
      Y y = make<Y>(dev, Extents<typename Y::shape>::from(extents));
      dev.grouped_matmul_combine(y, g.rows, w, g.offsets, g.positions, routes.weights);
      return y;
    }
  }
  return combine(dev, matmul(dev, g, w), routes);
}

}  // namespace tess
