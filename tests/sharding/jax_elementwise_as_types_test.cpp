// Rows of explicit_ops.csv as types: elementwise functions and reductions agree with the rule over values.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/softmax.hpp>

#include "sharding/jax/elementwise.hpp"
#include "sharding/jax/reduction.hpp"
#include "sharding/jax/types.hpp"

using namespace tess;
using namespace support::jax;

namespace {

using Marked =
    Specs<P<>, P<Partial<data>>, P<Partial<model>>, P<Partial<data, model>>, P<Reduced<data>>, P<Reduced<model>>,
          P<Reduced<data, model>>, P<Partial<data>, Reduced<model>>, P<Partial<model>, Reduced<data>>, P<data>,
          P<data, Partial<model>>, P<data, Reduced<model>>, P<model>, P<model, Partial<data>>, P<model, Reduced<data>>,
          P<Axes<data, model>>, P<Axes<model, data>>>;

template <class S, class Spec>
using X = ShardedTensor<f32, S, M, Spec>;

/// What the types say: the operands' specs, and the spec of the result unless they refuse.
struct Typed {
  std::string specs;
  std::optional<SpecValue> result;
};
template <class... Operand>
Typed typed() {
  Typed t;
  ((t.specs += (t.specs.empty() ? "" : " ; ") + text_of(Operand::sharding, names)), ...);
  return t;
}

template <class F, class... Operand>
Typed mapped(F) {
  Typed t = typed<Operand...>();
  if constexpr (Mappable<F, Operand...>)
    t.result = decltype(map<f32>(std::declval<Dry&>(), F{}, Operand{}...))::sharding;
  return t;
}
template <class F, class S, class R, class... A, class... B>
std::vector<Typed> all_pairs(F f, Specs<A...>, Specs<B...>) {
  std::vector<Typed> all;
  const auto with = [&](auto a) { (all.push_back(mapped<F, X<S, decltype(a)>, X<R, B>>(f)), ...); };
  (with(A{}), ...);
  return all;
}
template <class F, class S, class... A>
std::vector<Typed> all_of(F f, Specs<A...>) {
  return {mapped<F, X<S, A>>(f)...};
}
template <rules::Fold Fold, int Dim, class Op, class... A>
std::vector<Typed> all_reductions(Op op, Specs<A...>) {
  const auto one = [&]<class T>(T) {
    Typed t = typed<T>();
    if constexpr (std::is_same_v<tess::detail::reduction_fact<T, Fold, false, Dim>, nothing_wrong>)
      t.result = decltype(op(std::declval<Dry&>(), T{}))::sharding;
    return t;
  };
  return {one(X<Shape<4, 8>, A>{})...};
}

/// Each that has a row: the types agree with the rule over values, which the row explains.
template <class Rule>
int agree(const std::vector<Typed>& all, const std::string& op, const std::string& params, Rule rule) {
  std::map<std::string, const JaxRow*> rows;
  for (const JaxRow& row : all_rows())
    if (row.op == op && row.params == params && row["mesh"] == "data=2 model=2") rows[row["in_specs"]] = &row;
  int found = 0;
  for (const Typed& t : all) {
    if (!rows.count(t.specs)) continue;
    const Answer ours = *rule(*rows[t.specs]);
    INFO(op << " " << params << " " << t.specs);
    CHECK(ours.accepted == t.result.has_value());
    if (t.result) CHECK(ours.results.at(0) == *t.result);
    CHECK(classify(*rows[t.specs], ours).verdict != Verdict::unexplained);
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("sums of two tensors as types: all pairs of specs of ranks 1 and 2") {
  const auto vectors = all_pairs<fn::Add, Shape<8>, Shape<8>>(fn::Add{}, Rank1{}, Rank1{});
  CHECK(agree(vectors, "add", "rank=1", elementwise) == 25);
  const auto matrices = all_pairs<fn::Add, Shape<4, 8>, Shape<4, 8>>(fn::Add{}, Rank2{}, Rank2{});
  CHECK(agree(matrices, "add", "rank=2", elementwise) > 100);
  const auto rows = all_pairs<fn::Add, Shape<4, 8>, Shape<8>>(fn::Add{}, Rank2{}, Rank1{});
  CHECK(agree(rows, "add", "broadcast rank", elementwise) > 40);
}

TEST_CASE("products of pending and marked tensors as types") {
  const auto pairs = all_pairs<fn::Multiply, Shape<8>, Shape<8>>(fn::Multiply{}, Marked{}, Marked{});
  CHECK(pairs.size() == 289);
  CHECK(agree(pairs, "mul", "unreduced and reduced operands", elementwise) > 140);
}

TEST_CASE("functions of pending and marked tensors as types") {
  const char* marked = "unreduced and reduced operands";
  CHECK(agree(all_of<fn::Negate, Shape<8>>(fn::Negate{}, Marked{}), "neg", marked, elementwise) == 17);
  CHECK(agree(all_of<fn::Exp, Shape<8>>(fn::Exp{}, Marked{}), "exp", marked, elementwise) == 17);
  CHECK(agree(all_of<fn::Convert<i32, f32>, Shape<8>>(fn::Convert<i32, f32>{}, Marked{}), "convert",
              "to=int32, unreduced and reduced operands", elementwise) == 17);
}

TEST_CASE("reductions as types: all specs of a matrix") {
  using rules::Fold;
  const auto check = [](const std::vector<Typed>& all, const char* op, const char* params) {
    CHECK(agree(all, op, params, reduction) == 11);
  };
  check(all_reductions<Fold::sum, 0>([](auto& d, const auto& x) { return sum<0>(d, x); }, Rank2{}), "sum", "axes=0");
  check(all_reductions<Fold::max, 1>([](auto& d, const auto& x) { return max<1>(d, x); }, Rank2{}), "max", "axes=1");
  check(all_reductions<Fold::min, 0>([](auto& d, const auto& x) { return min<0>(d, x); }, Rank2{}), "min", "axes=0");
  check(all_reductions<Fold::sum, 1>([](auto& d, const auto& x) { return mean<1>(d, x); }, Rank2{}), "mean", "axes=1");
  check(all_reductions<Fold::whole, 1>([](auto& d, const auto& x) { return prod<1>(d, x); }, Rank2{}), "prod",
        "axes=1");
  check(all_reductions<Fold::whole, 1>([](auto& d, const auto& x) { return var<1>(d, x); }, Rank2{}), "var", "axes=1");
  check(all_reductions<Fold::whole, 0>([](auto& d, const auto& x) { return argmax<0>(d, x); }, Rank2{}), "argmax",
        "axis=0");
  check(all_reductions<Fold::whole, 1>([](auto& d, const auto& x) { return softmax(d, x); }, Rank2{}), "softmax",
        "axis=1");
}
