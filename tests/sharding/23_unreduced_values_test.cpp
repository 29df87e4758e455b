// unreduced_values.csv: programs on a pending sum of 2.5 + 2.5 have the value that they should, or are refused.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>
#include <set>

#include <tess/ops/concatenate.hpp>
#include <tess/ops/create.hpp>
#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/reduction.hpp>
#include <tess/ops/reshape.hpp>
#include <tess/ops/roll.hpp>
#include <tess/ops/slice.hpp>
#include <tess/ops/sort.hpp>
#include <tess/ops/transpose.hpp>

#include "support/csv.hpp"
#include "support/summary.hpp"
#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
template <class S, class Spec, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;
using U = X<Shape<4, 8>, P<Partial<data>>>;  // what u is
using One = X<Shape<4, 8>, P<>>;             // what is finished
using Mask = X<Shape<8>, P<>, i32>;

/// The distinct values of a result, as the table writes them.
template <class Y>
std::string values_of(const Y& y) {
  std::set<f64> distinct;
  for (const auto v : elements(y)) distinct.insert(static_cast<f64>(static_cast<f32>(v)));
  std::ostringstream text;
  for (const f64 v : distinct) text << (text.str().empty() ? "" : " ") << v;
  return text.str();
}

/// Is the operation refused? Asked of the rule that its static_assert reports.
template <class F, class... Operands>
constexpr bool refused = !Mappable<F, Operands...>;
template <rules::Fold F>
constexpr bool refused_reduction = !std::is_same_v<tess::detail::reduction_fact<U, F, false, 0>, nothing_wrong>;
struct Floor {
  f32 operator()(f32 x) const { return std::floor(x); }
};

/// What we make of a program: a value, or a refusal.
struct Ours {
  std::string body;
  std::optional<std::string> value;
};

std::vector<Ours> our_answers() {
  Host dev(1);
  const U u = tensor<U>(dev, {}, std::vector<f32>(32, 2.5f / 3 * 2));  // parts v and 2 v
  for (index_t r = 0; r < M::size; ++r) std::fill_n(u.storage().data(r), 32, 2.5f);
  const auto ones = full<f32, Shape<8, 8>, M>(dev, 1.0f);
  const auto left = cast<i32>(dev, map<f32>(
                                       dev, [](f32 i) { return i < 4 ? 1.0f : 0.0f; }, iota<f32, Shape<8>, M>(dev)));
  std::vector<Ours> all;
  const auto is = [&](const char* body, const auto& y) { all.push_back({body, values_of(y)}); };
  const auto no = [&](const char* body, bool is_refused) {
    CHECK_MESSAGE(is_refused, body);
    all.push_back({body, {}});
  };

  is("u", u);
  is("-u", neg(dev, u));
  is("u * 2.0", mul(dev, u, 2.0));
  is("2.0 * u", mul(dev, u, 2.0));
  is("u / 2.0", div(dev, u, 2.0));
  is("u + u", add(dev, u, u));
  is("u - u", sub(dev, u, u));
  no("u + 1.0", refused<fn::Plus<f32>, U>);
  no("u * u", refused<fn::Multiply, U, U>);
  is("u.T", transpose<1, 0>(dev, u));
  is("jnp.sum(u, 0)", sum<0>(dev, u));
  is("jnp.sum(u, 1)", sum<1>(dev, u));
  no("jnp.max(u, 0)", refused_reduction<rules::Fold::max>);
  is("jnp.mean(u, 0)", mean<0>(dev, u));
  is("jnp.cumsum(u, 0)", cumsum<0>(dev, u));
  is("lax.reshape(u, (32,))", reshape<Shape<32>>(u));
  is("u[:2]", slice<0, 0, 2>(dev, u));
  is("u[None]", expand_dims<0>(u));
  is("lax.rev(u, (0,))", rev<0>(dev, u));
  is("jnp.concatenate([u, u], 0)", concatenate<0>(dev, u, u));
  no("jnp.concatenate([u, jnp.ones((4, 8))], 0)",
     !std::is_same_v<typename decltype(tess::detail::concatenate_fact_of<operations::concatenate, 0, U, One>())::type,
                     nothing_wrong>);
  is("lax.pad(u, jnp.float32(0), ((0, 2, 0), (0, 0, 0)))", pad<0, 0, 2>(dev, u));
  no("lax.pad(u, jnp.float32(1), ((0, 2, 0), (0, 0, 0)))",
     !std::is_same_v<typename decltype(tess::detail::padding_fact_of<U, 0, 0, 2, 0, false>())::type, nothing_wrong>);
  is("u.astype(jnp.bfloat16)", cast<bf16>(dev, u));
  no("u.astype(jnp.int32)", refused<fn::Convert<i32, f32>, U>);
  no("u.astype(bool)", refused<fn::Convert<bool, f32>, U>);  // right by luck in JAX: 1 - 1 would be true
  is("lax.reduce_precision(u, 5, 0)", reduce_precision<5, 0>(dev, u));
  no("jnp.floor(u)", refused<Floor, U>);
  no("jnp.abs(u)", refused<decltype([](f32 x) { return std::abs(x); }), U>);
  no("jnp.exp(u)", refused<fn::Exp, U>);
  no("jax.nn.gelu(u)", refused<math::GeluTanh, U>);
  no("jax.nn.softmax(u, 0)", refused_reduction<rules::Fold::whole>);
  no("lax.clamp(0.0, u, 1.0)", refused<fn::Clamp<f32>, U>);
  no("u > 4.0", refused<decltype([](f32 x) { return x > 4; }), U>);
  is("jnp.where(jnp.arange(8) < 4, u, 0.0)", where_else_zero(dev, left, u));
  is("lax.select(jnp.ones((4, 8), bool), u, u)", where(dev, full<i32, Shape<4, 8>, M>(dev, 1), u, u));
  no("lax.select(jnp.ones((4, 8), bool), u, jnp.ones((4, 8)))", refused<fn::Where, Mask, U, One>);
  is("jnp.tile(u, (2, 1))", tile<0, 2>(dev, u));
  is("jnp.copy(u)", map<f32>(dev, fn::Same{}, u));
  is("lax.stop_gradient(u)", u);
  is("lax.dynamic_slice(u, [jnp.int32(0)] * 2, (2, 8))", dynamic_slice<Shape<2, 8>>(dev, u, {0, 0}));
  is("u @ jnp.ones((8, 8))", einsum<Labels<'m', 'k'>, Labels<'k', 'n'>, Labels<'m', 'n'>>(dev, u, ones));
  is("lax.broadcast_in_dim(u, (2, 4, 8), (1, 2))", broadcast_in_dim<Shape<2, 4, 8>, 1, 2>(dev, u));
  no("lax.square(u)", refused<fn::Multiply, U, U>);
  no("jnp.square(u)", refused<fn::Multiply, U, U>);
  no("jnp.sqrt(u)", refused<decltype([](f32 x) { return std::sqrt(x); }), U>);
  is("lax.convert_element_type(u, jnp.float16)", reduce_precision<5, 10>(dev, u));
  is("jnp.real(u)", u);
  is("lax.expand_dims(u, (0,))", expand_dims<0>(u));
  is("jnp.stack([u, u])", stack<0>(dev, u, u));
  is("lax.split(u, (2, 2), 0)[1]", std::get<1>(split<0, 2, 2>(dev, u)));
  return all;
}

}  // namespace

TEST_CASE("what is accepted of a pending sum has the right value; what JAX computes wrongly we compute or refuse") {
  std::map<std::string, std::optional<std::string>> ours;
  for (const Ours& o : our_answers()) ours[o.body] = o.value;
  int same = 0, stricter = 0, better = 0;
  const auto rows = read_csv(TESS_SHARDING_DATA "/unreduced_values.csv");
  CHECK(rows.size() == 51);
  for (const Row& row : rows) {
    INFO(row.at("body"));
    REQUIRE(ours.count(row.at("body")) == 1);
    const auto& value = ours[row.at("body")];
    const bool jax_refuses = row.at("out_spec") == "refused", jax_is_wrong = row.at("verdict") == "wrong";
    if (value) CHECK(*value == row.at("value_wanted"));
    if (!value && !jax_refuses && !jax_is_wrong) CHECK(row.at("body") == "u.astype(bool)");
    same += value ? !jax_refuses && !jax_is_wrong : jax_refuses;
    stricter += !value && !jax_refuses;                // each of them wrong in JAX, or right by luck
    better += value && (jax_refuses || jax_is_wrong);  // linear, and refused or computed wrongly by JAX
  }
  CHECK(same == 37);
  CHECK(stricter == 3);
  CHECK(better == 11);
  support::report_rows("unreduced_values.csv", 51, same, stricter, better, 51 - same - stricter - better);
}
