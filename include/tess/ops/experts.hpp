// Tokens grouped by expert: route, dispatch, products per expert, combine. Dropless; no token moves between devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "elementwise.hpp"
#include "reshard.hpp"

namespace tess {

/// For every token the chosen experts, best first, and their weights.
template <AnyTensor Ids, AnyTensor Weights>
struct Routes {
  Ids experts;      // i32 [B, T, k]
  Weights weights;  // f32 [B, T, k]
};

/// Rows in the order of their experts. `offsets[e] ... offsets[e + 1]` are the rows of expert e on each device.
template <AnyTensor X, AnyTensor Positions, AnyTensor Offsets>
struct Grouped {
  X rows;               // [B·T·k, D]
  Positions positions;  // i32 [B·T·k]: where row (token, choice) went
  Offsets offsets;      // i32 [parts · (E + 1)], each device its own
};

namespace detail {
template <class>
inline constexpr bool is_grouped = false;
template <class X, class P, class O>
inline constexpr bool is_grouped<Grouped<X, P, O>> = true;

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
/// rows P<b, d, Partial<p>> -> [B, T, D] P<b, None, d, Partial<p>>
template <class R>
struct combined_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = R::sharding;
    s.rank = 3;
    s[1] = {};
    s[2] = R::sharding[1];
    return s;
  }();
};
}  // namespace detail
template <class G>
concept AnyGrouped = detail::is_grouped<std::remove_cv_t<G>>;

/// logits f32 [B, T, E] -> the k experts of every token. `choose(logits, experts, weights)` is called on one row at a
/// time with spans of E, k and k; it is the routing policy (nn/router.hpp). A policy that takes four arguments is told
/// the number of the token on its device first. E unsharded.
template <class D, class Choose, AnyTensor Logits>
constexpr auto route(D& dev, const Logits& logits, index_t k, Choose choose) {
  static_assert(Logits::rank == 3, "[route] logits are [batch, tokens, experts]");
  static_assert(detail::rows_fact<Logits>::ok);
  if (k < 1 || k > logits.extent(2)) fail("[route] ", k, " experts a token were asked for, of ", logits.extent(2));
  using S = detail::with_last<typename Logits::shape, dyn>;
  using Ids = ShardedTensor<i32, S, typename Logits::mesh, typename Logits::spec, D>;
  using Weights = with_type<Ids, f32>;
  const auto extents = detail::extents_with_last<S>(logits.extents(), k);
  Routes<Ids, Weights> r{make<Ids>(dev, extents), make<Weights>(dev, extents)};
  TESS_VERB(dev, route, r.experts, r.weights, logits, choose);
  return r;
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

/// rows of expert e · w[e] [K, N]: the typing rule of matmul, with w [E, K, N] and E unsharded. Only routed experts are
/// computed.
template <class Y = f32, class D, AnyGrouped G, AnyTensor W>
constexpr auto matmul(D& dev, const G& g, const W& w) {
  using X = decltype(g.rows);
  static_assert(W::rank == 3, "[matmul] the weights of experts are [E, K, N]");
  static_assert(W::sharding[0].count == 0,
                "[matmul] experts sharded over a mesh axis need tokens dispatched over that axis first");
  static_assert(detail::matmul_fact<X, W>::ok);
  using S = Shape<dyn, detail::static_extent<typename W::shape>(2)>;
  using R = ShardedTensor<Y, S, typename X::mesh, spec_type<typename X::mesh, detail::matmul_result<X, W>>, D>;
  if (g.rows.extent(1) != w.extent(1))
    fail("[matmul] contracted_extents_differ: the rows have extent ", g.rows.extent(1), ", the experts' weights ",
         w.extent(1));
  R y = make<R>(dev, Extents<S>::from({g.rows.extent(0), w.extent(2)}));
  TESS_VERB(dev, grouped_matmul, y, g.rows, w, g.offsets);
  return Grouped<R, decltype(g.positions), decltype(g.offsets)>{y, g.positions, g.offsets};
}

namespace detail {
template <class R, class G>
constexpr auto regroup(R rows, const G& g) {
  return Grouped<R, decltype(g.positions), decltype(g.offsets)>{std::move(rows), g.positions, g.offsets};
}
}  // namespace detail

/// Elementwise functions, casts and the verbs act on the rows. A reshard may not move rows between devices: they are
/// grouped there.
template <class Y, class D, class F, AnyGrouped G, AnyGrouped... Others>
constexpr auto map(D& dev, F f, const G& g, const Others&... others) {
  return detail::regroup(map<Y>(dev, f, g.rows, others.rows...), g);
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
  using Out = ShardedTensor<f32, S, M, spec_type<M, detail::combined_spec<X>>, D>;
  Out y = make<Out>(dev, Extents<S>::from({routes.weights.extent(0), routes.weights.extent(1), g.rows.extent(1)}));
  TESS_VERB(dev, combine, y, g.rows, g.positions, routes.weights);
  return y;
}

}  // namespace tess
