// shard_map_rep.csv, every row: the verdict of our types beside JAX's, and the values of what passes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <set>

#include <tess/core/type_name.hpp>
#include <tess/ops/shard_map.hpp>
#include <tess/sharding/spec_text.hpp>
#include <tess/tensor/math.hpp>

#include "support/jax_rows.hpp"
#include "support/summary.hpp"
#include "support/tensors.hpp"

using namespace tess;

namespace {

struct data;
struct model;
struct batch;  // no axis of the mesh
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;

// ---- types as the table writes them

template <class E>
struct text_of {
  static std::string entry() { return "'" + std::string(type_name<E>()) + "'"; }
};
template <class... N>
std::string listed() {
  std::string all;
  ((all += (all.empty() ? "'" : ", '") + std::string(type_name<N>()) + "'"), ...);
  return all;
}
template <>
struct text_of<None> {
  static std::string entry() { return "None"; }
};
template <class... N>
struct text_of<Axes<N...>> {
  static std::string entry() { return "(" + listed<N...>() + ")"; }
};
template <class... N>
struct text_of<Partial<N...>> {
  static std::string entry() { return "unreduced={" + listed<N...>() + "}"; }
};
template <class... N>
struct text_of<Reduced<N...>> {
  static std::string entry() { return "reduced={" + listed<N...>() + "}"; }
};
template <class... E>
std::string text(P<E...>) {
  std::string all;
  ((all += (all.empty() ? "" : ", ") + text_of<E>::entry()), ...);
  return "P(" + all + ")";
}
template <class... S>
std::string text(In<S...>) {
  std::string all;
  ((all += (all.empty() ? "" : " ; ") + text(S{})), ...);
  return all;
}
template <class... S>
std::string text(Out<S...>) {
  return (text(S{}) + ...);
}
template <class S>
std::string shape_text() {
  std::string all;
  for (int d = 0; d < S::rank; ++d) all += (d ? "x" : "") + std::to_string(S::extents[static_cast<std::size_t>(d)]);
  return all.empty() ? "scalar" : all;
}

/// How the result of a body varies, as the table writes a manual-axis type.
std::string state_text(const VaryingValue& v) {
  const auto names = [](unsigned mask) {
    std::string all;
    for (int a = 0; a < M::rank; ++a)
      if (mask >> a & 1u) all += (all.empty() ? "'" : ", '") + std::string(axis_text<M>(a)) + "'";
    return "{" + all + "}";
  };
  return "varying=" + names(v.varying) + (v.partial ? " unreduced=" + names(v.partial) : "") +
         (v.reduced ? " reduced=" + names(v.reduced) : "");
}

// ---- the tally

enum class Kind { same, better, stricter, unexplained };
struct Summary {
  int count[4] = {};
  std::map<std::string, int> classes;
  std::set<std::size_t> rows;  // seen
  std::vector<std::string> open;
  int values = 0, states = 0;  // values of results compared, and how they vary
};
Summary& summary() {
  static Summary s;
  return s;
}
const std::vector<support::Row>& golden_rows() {
  static const auto rows = support::read_csv(TESS_SHARDING_DATA "/shard_map_rep.csv");
  return rows;
}

/// Ours beside JAX's: equal verdicts are the same; a difference is explained by what the table says of the copies, or by
/// the number of the README's class.
std::pair<Kind, std::string> compare(const support::Row& row, bool accepted, const std::string& fact) {
  const bool jax = row.at("verdict") == "accepted";
  const std::string holds = row.at("promise_holds");
  if (accepted && holds == "no") return {Kind::unexplained, ""};
  if (accepted && jax) return {Kind::same, ""};
  if (!accepted && row.at("verdict") == "refused_at_lowering")
    return {Kind::better, "14: JAX finds it at lowering only"};
  if (!accepted && !jax) return {Kind::same, ""};
  if (accepted && holds == "yes") return {Kind::better, "12: JAX is conservative, the promise holds"};
  if (!accepted && holds == "no") return {Kind::better, "12: JAX's check ignores control flow, the promise is false"};
  if (fact.find("collective_where_devices_go_different_ways") != fact.npos)
    return {Kind::better, "12: a collective under a varying predicate, which may hang"};
  if (fact.find("sum_over_an_axis_of_equal_blocks") != fact.npos)
    return {Kind::stricter, "13: a sum of equal blocks multiplies them by the axis size"};
  return {Kind::unexplained, ""};
}

template <class S, class Spec, class D>
using argument_type = ShardedTensor<f32, S, M, std::conditional_t<Shardable<S, Spec, M>, Spec, P<>>, D>;

template <class X>
X filled(Host& dev, bool ones) {
  const Extents<typename X::shape> e;
  return support::tensor<X>(
      dev, e,
      ones ? std::vector<f32>(static_cast<std::size_t>(e.size()), 1.0f) : support::random(e.size(), e.size(), 3));
}

/// One body, asked with several specs: .row<In, Out, Shape of each argument (8x8 if none is said)...>().
template <class Body>
struct Asked {
  const char* body;
  Body f;

  template <class I, class O>
  const Asked& row() const {
    return row_with<I, O>(default_shapes(I{}));
  }
  template <class I, class O, class S, class... Shapes>
  const Asked& row() const {
    return row_with<I, O>(std::tuple<S, Shapes...>{});
  }

 private:
  template <class... Spec>
  static auto default_shapes(In<Spec...>) {
    return std::tuple<std::conditional_t<true, Shape<8, 8>, Spec>...>{};
  }

  template <class I, class O, class... S>
  const Asked& row_with(std::tuple<S...>) const {
    return ask<O>(I{}, std::type_identity<S>{}...);
  }
  template <class O, class... Spec, class... S>
  const Asked& ask(In<Spec...> in, std::type_identity<S>...) const {
    std::string shapes;
    ((shapes += (shapes.empty() ? "" : " ; ") + shape_text<S>()), ...);
    CAPTURE(body);
    CAPTURE(text(in));
    CAPTURE(text(O{}));
    std::size_t found = golden_rows().size();
    for (std::size_t i = 0; i < golden_rows().size(); ++i) {
      const support::Row& row = golden_rows()[i];
      if (row.at("body") == body && row.at("shapes") == shapes && row.at("in_specs") == text(in) &&
          row.at("out_specs") == text(O{}))
        found = i;
    }
    REQUIRE(found < golden_rows().size());
    const support::Row& row = golden_rows()[found];

    using fact = shard_map_fact<In<Spec...>, O, Body, argument_type<S, Spec, Judge>...>;
    constexpr bool accepted = std::is_same_v<fact, nothing_wrong>;
    const auto [kind, why] = compare(row, accepted, std::string(name_of<fact>()));
    Summary& s = summary();
    CHECK(s.rows.insert(found).second);
    ++s.count[static_cast<int>(kind)];
    if (!why.empty()) ++s.classes[why];
    if (kind == Kind::unexplained) s.open.push_back(std::string(body) + " | " + text(in) + " | " + text(O{}));

    // JAX says how the result varies: so do we, but for control flow, and where we refuse before there is a result.
    if constexpr ((Shardable<S, Spec, M> && ...)) {
      using R = std::invoke_result_t<const Body&, blocks::block_of_argument<ShardedTensor<f32, S, M, Spec, Judge>>...>;
      if constexpr (blocks::is_block<R>) {
        const bool choice = why.find("control flow") != why.npos;
        if (!row.at("body_type").empty() && !choice) {
          CHECK(state_text(R::state) == row.at("body_type"));
          ++s.states;
        }
      }
    }

    if constexpr (accepted) {
      Host dev(1);
      // Copies that the out spec calls equal are equal: `elements` compares the bits of all of them.
      const auto any = shard_map<In<Spec...>, O>(dev, f, filled<argument_type<S, Spec, Host>>(dev, false)...);
      (void)support::elements(any);
      const auto ones = shard_map<In<Spec...>, O>(dev, f, filled<argument_type<S, Spec, Host>>(dev, true)...);
      if (!row.at("out_shape").empty()) CHECK(shape_text<typename decltype(ones)::shape>() == row.at("out_shape"));
      if (!row.at("value_of_ones").empty()) {
        std::set<f64> distinct;
        for (const auto v : support::elements(ones)) distinct.insert(static_cast<f64>(v));
        std::set<f64> wanted;
        for (const std::string& v : support::parse_list(row.at("value_of_ones"), " ")) wanted.insert(std::stod(v));
        CHECK(distinct == wanted);
        ++s.values;
      }
    }
    return *this;
  }
  template <class T>
  static constexpr std::string_view name_of() {
    return __PRETTY_FUNCTION__;
  }
};
template <class Body>
Asked(const char*, Body) -> Asked<Body>;

using D_ = P<data, None>;  // 'data' on rows
using N_ = P<None, None>;  // replicated
using Dm = P<data, model>;
using Both = P<Axes<data, model>, None>;
constexpr auto gelu = [](f32 v) { return math::GeluTanh::apply(v); };

}  // namespace

TEST_CASE("nothing but the promise: an axis that the out spec does not name must not vary") {
  Asked{"x", [](auto x) { return x; }}
      .row<In<D_>, Out<D_>>()
      .row<In<D_>, Out<N_>>()
      .row<In<N_>, Out<N_>>()
      .row<In<N_>, Out<D_>>()
      .row<In<Dm>, Out<P<model, data>>>()
      .row<In<Dm>, Out<D_>>()
      .row<In<Both>, Out<P<Axes<model, data>, None>>>()
      .row<In<Both>, Out<D_>>()
      // the specs themselves
      .row<In<Both>, Out<Both>, Shape<6, 8>>()
      .row<In<D_>, Out<D_>, Shape<7, 8>>()
      .row<In<P<data, None, None>>, Out<D_>>()
      .row<In<D_>, Out<P<data, None, None>>>()
      .row<In<P<batch, None>>, Out<D_>>()
      .row<In<D_>, Out<P<batch, None>>>()
      .row<In<P<data, data>>, Out<D_>>()
      .row<In<D_>, Out<P<data, data>>>();
  Asked{"x * 2 + 1", [](auto x) { return x * 2 + 1; }}.row<In<D_>, Out<D_>>();
  Asked{"jnp.ones((4,))", [](auto x) { return full<Shape<4>>(x, 1.0f); }}.row<In<D_>, Out<P<None>>>();
  Asked{"jnp.arange(4.)", [](auto x) { return arange<4>(x); }}.row<In<D_>, Out<P<data>>>();
}

TEST_CASE("all-reduce makes what varies equal, and is refused where blocks are equal already") {
  Asked{"psum(x, 'data')", [](auto x) { return psum<data>(x); }}
      .row<In<D_>, Out<N_>>()
      .row<In<D_>, Out<D_>>()
      .row<In<Dm>, Out<P<None, model>>>()
      .row<In<Dm>, Out<N_>>()
      .row<In<N_>, Out<N_>>();
  Asked{"psum(x, ('data', 'model'))", [](auto x) { return psum<data, model>(x); }}
      .row<In<Dm>, Out<N_>>()
      .row<In<D_>, Out<N_>>();
  Asked{"psum(psum(x, 'data'), 'model')", [](auto x) { return psum<model>(psum<data>(x)); }}.row<In<Dm>, Out<N_>>();
  Asked{"jnp.sum(x, 0)", [](auto x) { return sum<0>(x); }}.row<In<D_>, Out<P<None>>>().row<In<D_>, Out<P<data>>>();
  Asked{"psum(jnp.sum(x, 0), 'data')", [](auto x) { return psum<data>(sum<0>(x)); }}.row<In<D_>, Out<P<None>>>();
  Asked{"jnp.sum(x)", [](auto x) { return sum(x); }}.row<In<D_>, Out<P<data>>>();
  Asked{"psum(jnp.sum(x), 'data')", [](auto x) { return psum<data>(sum(x)); }}.row<In<D_>, Out<P<>>>();
  Asked{"jnp.sum(x)[None]", [](auto x) { return expand_dims<0>(sum(x)); }}.row<In<D_>, Out<P<data>>>();
  Asked{"psum(psum(x, 'data'), 'data')", [](auto x) { return psum<data>(psum<data>(x)); }}.row<In<D_>, Out<N_>>();
  Asked{"psum(x, 'model')", [](auto x) { return psum<model>(x); }}.row<In<D_>, Out<D_>>();
  Asked{"psum(pcast(x, 'data', to='varying'), 'data')", [](auto x) { return psum<data>(pvary<data>(x)); }}
      .row<In<N_>, Out<N_>>();
  Asked{"pmean(x, 'data')", [](auto x) { return pmean<data>(x); }}.row<In<D_>, Out<N_>>().row<In<N_>, Out<N_>>();
  Asked{"pmax(x, 'data')", [](auto x) { return pmax<data>(x); }}.row<In<D_>, Out<N_>>().row<In<N_>, Out<N_>>();
  Asked{"pmin(x, 'data')", [](auto x) { return pmin<data>(x); }}.row<In<D_>, Out<N_>>();
  Asked{"pmax(psum(x, 'data'), 'data')", [](auto x) { return pmax<data>(psum<data>(x)); }}.row<In<D_>, Out<N_>>();
  Asked{"psum(1, 'data') * x", [](auto x) { return axis_size<data>(x) * x; }}.row<In<N_>, Out<N_>>();
  Asked{"axis_size('data') * x", [](auto x) { return axis_size<data>(x) * x; }}.row<In<N_>, Out<N_>>();
  Asked{"psum(x, 'batch')", [](auto x) { return psum<batch>(x); }}.row<In<D_>, Out<N_>>();
  // Groups of devices are parts of an axis here: the mesh would be made of Axis<data, 2, 1>.
  Asked{"psum(x, 'data', axis_index_groups=[[0], [1]])", [](auto x) { return psum<Sub<data, 2, 1>>(x); }}
      .row<In<D_>, Out<N_>>();
}

TEST_CASE("gather and scatter: to varying, to equal, to reduced") {
  Asked{"all_gather(x, 'data', axis=0, tiled=True)", [](auto x) { return all_gather<0, data>(x); }}
      .row<In<D_>, Out<N_>>()
      .row<In<D_>, Out<D_>>()
      .row<In<N_>, Out<N_>>();
  Asked{"all_gather(x, 'data', axis=0, tiled=True, to='invarying')",
        [](auto x) { return all_gather_invariant<0, data>(x); }}
      .row<In<D_>, Out<N_>>()
      .row<In<N_>, Out<N_>>()
      .row<In<Both>, Out<P<model, None>>>();
  Asked{"all_gather(x, 'data', axis=0, tiled=True, to='reduced')",
        [](auto x) { return all_gather_reduced<0, data>(x); }}
      .row<In<D_>, Out<N_>>()
      .row<In<D_>, Out<P<None, None, Reduced<data>>>>();
  Asked{"all_gather(x, 'data', axis=0)", [](auto x) { return all_gather<0, data>(expand_dims<0>(x)); }}
      .row<In<D_>, Out<P<None, None, None>>>();
  Asked{"all_gather(x, ('data', 'model'), axis=0, tiled=True, to='invarying')",
        [](auto x) { return all_gather_invariant<0, data, model>(x); }}
      .row<In<Both>, Out<N_>>();
  Asked{"all_gather(x, 'model', axis=0, tiled=True, to='invarying')",
        [](auto x) { return all_gather_invariant<0, model>(x); }}
      .row<In<Both>, Out<D_>>();
  Asked{"pmax(all_gather(x, 'data', axis=0, tiled=True), 'data')",
        [](auto x) { return pmax<data>(all_gather<0, data>(x)); }}
      .row<In<D_>, Out<N_>>();
  Asked{"psum(all_gather(x, 'data', axis=0, tiled=True), 'data')",
        [](auto x) { return psum<data>(all_gather<0, data>(x)); }}
      .row<In<D_>, Out<N_>>();
  Asked{"psum_scatter(x, 'data', scatter_dimension=0, tiled=True)", [](auto x) { return psum_scatter<0, data>(x); }}
      .row<In<P<None, data>>, Out<D_>>()
      .row<In<P<None, data>>, Out<N_>>()
      .row<In<N_>, Out<D_>>();
  // Untiled, the dimension is as long as the axis, and goes.
  Asked{"psum_scatter(x, 'data', scatter_dimension=1)", [](auto x) { return squeeze<1>(psum_scatter<1, data>(x)); }}
      .row<In<D_>, Out<D_>, Shape<8, 4>>();
  Asked{"psum_scatter(x, 'data', scatter_dimension=1, tiled=True)", [](auto x) { return psum_scatter<1, data>(x); }}
      .row<In<D_>, Out<D_>, Shape<8, 3>>();
  Asked{
      "all_gather(psum_scatter(x, 'data', scatter_dimension=0, tiled=True), 'data', axis=0, tiled=True, "
      "to='invarying')",
      [](auto x) { return all_gather_invariant<0, data>(psum_scatter<0, data>(x)); }}
      .row<In<P<None, data>>, Out<N_>>();
}

TEST_CASE("blocks that change devices") {
  Asked{"all_to_all(x, 'data', split_axis=1, concat_axis=0, tiled=True)",
        [](auto x) { return all_to_all<1, 0, data>(x); }}
      .row<In<D_>, Out<P<None, data>>>()
      .row<In<D_>, Out<D_>>()
      .row<In<D_>, Out<N_>>()
      .row<In<D_>, Out<P<None, data>>, Shape<8, 3>>()
      .row<In<N_>, Out<P<None, data>>>();
  Asked{"ppermute(x, 'data', [(0, 1), (1, 0)])", [](auto x) { return ppermute<data, Send<0, 1>, Send<1, 0>>(x); }}
      .row<In<D_>, Out<D_>>()
      .row<In<D_>, Out<N_>>()
      .row<In<N_>, Out<N_>>();
  Asked{"ppermute(x, 'data', [(0, 1)])", [](auto x) { return ppermute<data, Send<0, 1>>(x); }}.row<In<D_>, Out<D_>>();
  Asked{"ppermute(x, 'data', [(0, 1), (1, 1)])", [](auto x) { return ppermute<data, Send<0, 1>, Send<1, 1>>(x); }}
      .row<In<D_>, Out<D_>>();
  Asked{"ppermute(x, 'data', [(0, 0), (0, 1)])", [](auto x) { return ppermute<data, Send<0, 0>, Send<0, 1>>(x); }}
      .row<In<D_>, Out<D_>>();
  Asked{"ppermute(x, 'data', [(0, 2)])", [](auto x) { return ppermute<data, Send<0, 2>>(x); }}.row<In<D_>, Out<D_>>();
}

TEST_CASE("the number of a device varies") {
  Asked{"x + axis_index('data')", [](auto x) { return x + axis_index<data>(x); }}
      .row<In<N_>, Out<N_>>()
      .row<In<N_>, Out<D_>>();
  Asked{"x + 0 * axis_index('data')", [](auto x) { return x + 0 * axis_index<data>(x); }}.row<In<N_>, Out<N_>>();
  Asked{"psum(jnp.where(axis_index('data') == 0, x, 0.), 'data')",
        [](auto x) { return psum<data>(where(axis_index<data>(x) == 0, x, 0.0)); }}
      .row<In<D_>, Out<N_>>();
  Asked{"lax.dynamic_slice_in_dim(x, axis_index('data') * 4, 4, 0)",
        [](auto x) { return dynamic_slice<0, 4>(x, axis_index<data>(x) * 4); }}
      .row<In<N_>, Out<D_>>();
  Asked{"x + axis_index(('data', 'model'))", [](auto x) { return x + axis_index<data, model>(x); }}
      .row<In<N_>, Out<Both>>()
      .row<In<N_>, Out<D_>>();
  Asked{"jnp.where(axis_index('data') == 0, x, x * 2)",
        [](auto x) { return where(axis_index<data>(x) == 0, x, x * 2); }}
      .row<In<N_>, Out<N_>>();
  Asked{"x[axis_index('data')]", [](auto x) { return dynamic_index<0>(x, axis_index<data>(x)); }}
      .row<In<N_>, Out<P<None>>>();
}

TEST_CASE("operands that vary differently") {
  Asked{"x + y", [](auto x, auto y) { return x + y; }}
      .row<In<D_, N_>, Out<D_>, Shape<8, 8>, Shape<4, 8>>()
      .row<In<D_, P<None, model>>, Out<Dm>>()
      .row<In<D_, P<model, None>>, Out<D_>>()
      .row<In<D_, P<model, None>>, Out<Both>>();
  Asked{"psum(x, 'data') + y", [](auto x, auto y) { return psum<data>(x) + y; }}
      .row<In<D_, N_>, Out<N_>, Shape<8, 8>, Shape<4, 8>>();
  Asked{"psum(x, 'data') + x", [](auto x) { return psum<data>(x) + x; }}.row<In<D_>, Out<N_>>();
  Asked{"psum(x @ y, 'model')", [](auto x, auto y) { return psum<model>(matmul(x, y)); }}
      .row<In<P<None, model>, P<model, None>>, Out<N_>>();
  Asked{"x @ y", [](auto x, auto y) { return matmul(x, y); }}
      .row<In<P<None, model>, P<model, None>>, Out<N_>>()
      .row<In<N_, P<None, model>>, Out<P<None, model>>>()
      .row<In<N_, P<None, model>>, Out<N_>>();
  Asked{"psum(jax.nn.gelu(x @ y) @ z, 'model')",
        [](auto x, auto y, auto z) { return psum<model>(matmul(map(gelu, matmul(x, y)), z)); }}
      .row<In<D_, P<None, model>, P<model, None>>, Out<D_>>()
      .row<In<D_, P<None, model>, P<model, None>>, Out<N_>>();
  Asked{"psum(x @ y, 'model') + b", [](auto x, auto y, auto b) { return psum<model>(matmul(x, y)) + b; }}
      .row<In<P<None, model>, P<model, None>, P<None>>, Out<N_>, Shape<8, 8>, Shape<8, 8>, Shape<8>>();
  Asked{"psum(x @ y + b, 'model')", [](auto x, auto y, auto b) { return psum<model>(matmul(x, y) + b); }}
      .row<In<P<None, model>, P<model, None>, P<None>>, Out<N_>, Shape<8, 8>, Shape<8, 8>, Shape<8>>();
}

TEST_CASE("casts move nothing, and there is none from varying back to equal") {
  Asked{"pcast(x, 'data', to='varying')", [](auto x) { return pvary<data>(x); }}
      .row<In<N_>, Out<N_>>()
      .row<In<N_>, Out<D_>>()
      .row<In<D_>, Out<D_>>();
  // No such cast is there to call: what varies stays as it is, and the promise is refused.
  Asked{"pcast(x, 'data', to='invarying')", [](auto x) { return x; }}.row<In<D_>, Out<N_>>();
  Asked{"pcast(x, ('data', 'model'), to='varying')", [](auto x) { return pvary<data, model>(x); }}
      .row<In<D_>, Out<Both>>();
  Asked{"pcast(x, 'data', to='unreduced')", [](auto x) { return ppartial<data>(x); }}
      .row<In<D_>, Out<P<None, None, Partial<data>>>>()
      .row<In<D_>, Out<N_>>();
  Asked{"pcast(x, 'data', to='reduced')", [](auto x) { return preduced<data>(x); }}
      .row<In<N_>, Out<P<None, None, Reduced<data>>>>();
  Asked{"psum(pcast(x, 'data', to='unreduced'), 'data')", [](auto x) { return psum<data>(ppartial<data>(x)); }}
      .row<In<D_>, Out<N_>>();
  Asked{"pcast(x, 'data', to='unreduced') + pcast(y, 'data', to='unreduced')",
        [](auto x, auto y) { return ppartial<data>(x) + ppartial<data>(y); }}
      .row<In<D_, D_>, Out<P<None, None, Partial<data>>>>();
  Asked{"pcast(x, 'data', to='unreduced') * pcast(y, 'data', to='unreduced')",
        [](auto x, auto y) { return ppartial<data>(x) * ppartial<data>(y); }}
      .row<In<D_, D_>, Out<P<None, None, Partial<data>>>>();
  Asked{"jax.nn.gelu(pcast(x, 'data', to='unreduced'))", [](auto x) { return map(gelu, ppartial<data>(x)); }}
      .row<In<D_>, Out<P<None, None, Partial<data>>>>();
  Asked{"pcast(x, 'data', to='unreduced') * pcast(y, 'data', to='reduced')",
        [](auto x, auto y) { return ppartial<data>(x) * preduced<data>(y); }}
      .row<In<D_, N_>, Out<P<None, None, Partial<data>>>, Shape<8, 8>, Shape<4, 8>>();
  Asked{"pcast(x, 'data', to='unreduced') + y", [](auto x, auto y) { return ppartial<data>(x) + y; }}
      .row<In<D_, N_>, Out<P<None, None, Partial<data>>>, Shape<8, 8>, Shape<4, 8>>();
}

TEST_CASE("control flow: what comes out varies as the choice does, too") {
  const auto add_x = [](auto, auto c, auto x) { return carry(c + x, x); };
  const auto add_row = [](auto i, auto c, auto x) { return carry(c + dynamic_index<0>(x, i), x); };
  Asked{"lax.fori_loop(0, 3, lambda i, c: c + x, jnp.zeros((4, 8)))",
        [=](auto x) { return std::get<0>(fori_loop(0, 3, add_x, full<Shape<4, 8>>(x, 0.0f), x)); }}
      .row<In<D_>, Out<D_>>();
  Asked{"lax.fori_loop(0, 3, lambda i, c: c + x, pcast(jnp.zeros((4, 8)), 'data', to='varying'))",
        [=](auto x) { return std::get<0>(fori_loop(0, 3, add_x, pvary<data>(full<Shape<4, 8>>(x, 0.0f)), x)); }}
      .row<In<D_>, Out<D_>>();
  Asked{"lax.scan(lambda c, a: (c + a, None), jnp.zeros((8,)), x)[0]",
        [=](auto x) { return std::get<0>(fori_loop(0, 4, add_row, full<Shape<8>>(x, 0.0f), x)); }}
      .row<In<D_>, Out<P<data>>>();
  Asked{"lax.scan(lambda c, a: (c + a, None), pcast(jnp.zeros((8,)), 'data', to='varying'), x)[0]",
        [=](auto x) { return std::get<0>(fori_loop(0, 4, add_row, pvary<data>(full<Shape<8>>(x, 0.0f)), x)); }}
      .row<In<D_>, Out<P<data>>>();
  Asked{"lax.cond(True, lambda: x, lambda: jnp.zeros((4, 8)))",
        [](auto x) {
          return cond(
              full<Shape<>, bool>(x, true), [&] { return x; }, [&] { return full<Shape<4, 8>>(x, 0.0f); });
        }}
      .row<In<D_>, Out<D_>>();
  Asked{"lax.cond(axis_index('data') == 0, lambda: x, lambda: x * 2)",
        [](auto x) {
          return cond(
              axis_index<data>(x) == 0, [](auto y) { return y; }, [](auto y) { return y * 2; }, x);
        }}
      .row<In<N_>, Out<N_>>();
  Asked{"lax.switch(axis_index('data'), [lambda: x, lambda: x * 2])",
        [](auto x) {
          return switch_(axis_index<data>(x), Branches([](auto y) { return y; }, [](auto y) { return y * 2; }), x);
        }}
      .row<In<N_>, Out<N_>>();
  Asked{
      "lax.while_loop(lambda c: c[0] < axis_index('data') + 1, lambda c: (c[0] + 1, c[1] * 2), (0, x))[1]",
      [](auto x) {
        return std::get<1>(while_loop([](auto i, auto) { return i < axis_index<data>(i) + 1; },
                                      [](auto i, auto y) { return carry(i + 1, y * 2); }, full<Shape<>, i32>(x, 0), x));
      }}
      .row<In<N_>, Out<N_>>();
  Asked{"lax.fori_loop(0, axis_index('data'), lambda i, c: c * 2, x)",
        [](auto x) {
          return fori_loop(
              0, axis_index<data>(x), [](auto, auto c) { return c * 2; }, x);
        }}
      .row<In<N_>, Out<N_>>();
  Asked{"lax.cond(jnp.sum(x) > 0, lambda: psum(x, 'data'), lambda: psum(x * 2, 'data'))",
        [](auto x) {
          return cond(
              sum(x) > 0, [](auto y) { return psum<data>(y); }, [](auto y) { return psum<data>(y * 2); }, x);
        }}
      .row<In<D_>, Out<N_>>();
}

TEST_CASE("every row has been asked, and no difference to JAX is unexplained") {
  const Summary& s = summary();
  for (std::size_t i = 0; i < golden_rows().size(); ++i)
    if (!s.rows.count(i))
      FAIL_CHECK("not asked: " << golden_rows()[i].at("body") << " | " << golden_rows()[i].at("in_specs") << " | "
                               << golden_rows()[i].at("out_specs"));
  for (const std::string& row : s.open) FAIL_CHECK("unexplained: " << row);
  CHECK(golden_rows().size() == 124);
  std::cout << "shard_map_rep.csv: " << s.rows.size() << " rows: " << s.count[0] << " same, " << s.count[1]
            << " better, " << s.count[2] << " stricter, " << s.count[3] << " unexplained; " << s.values
            << " values and " << s.states << " types of results equal\n";
  for (const auto& [why, count] : s.classes) std::cout << "  " << count << "  class " << why << '\n';
  support::report_rows("shard_map_rep.csv", static_cast<long>(s.rows.size()), s.count[0], s.count[2], s.count[1],
                       s.count[3]);
}
