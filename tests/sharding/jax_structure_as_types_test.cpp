// Rows of explicit_ops.csv as types: structural operations have the spec that the rules give as values.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>
#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/slice.hpp>
#include <tess/ops/sort.hpp>
#include <tess/ops/transpose.hpp>

#include "sharding/jax/structure.hpp"
#include "sharding/jax/types.hpp"
#include "support/summary.hpp"

using namespace tess;
using namespace support::jax;

namespace {

template <class S, class Spec>
using T = ShardedTensor<f32, S, M, Spec>;

/// What the types say: the specs of the operands, and that of the result unless they refuse.
struct Typed {
  std::string specs;
  std::optional<SpecValue> result;
};
/// f is called with a device and the operands unless Fact says that it would not compile.
template <class Fact, class... X, class F>
Typed typed(F) {
  Typed t;
  ((t.specs += (t.specs.empty() ? "" : " ; ") + text_of(X::sharding, names)), ...);
  if constexpr (std::is_same_v<Fact, nothing_wrong>) t.result = std::invoke_result_t<F, Dry&, X...>::sharding;
  return t;
}

int rows_as_types = 0;

/// Each that has a row: the types agree with the rule over values, and the row explains any difference to JAX.
int agree(const std::vector<Typed>& all, const std::string& op, const std::string& params) {
  int found = 0;
  for (const Typed& t : all)
    for (const JaxRow& row : all_rows()) {
      if (row.op != op || row.params != params || row["mesh"] != "data=2 model=2" || row["in_specs"] != t.specs)
        continue;
      const Answer ours = *structure(row);
      INFO(op << " [" << params << "] " << t.specs);
      CHECK(ours.accepted == t.result.has_value());
      if (t.result) CHECK(ours.results.at(0) == *t.result);
      CHECK(classify(row, ours).verdict != Verdict::unexplained);
      ++found;
    }
  rows_as_types += found;
  return found;
}
template <class F, class... A>
std::vector<Typed> each(F f, Specs<A...>) {
  return {f(A{})...};
}
template <class F, class... A, class... B>
std::vector<Typed> each_pair(F f, Specs<A...>, Specs<B...>) {
  std::vector<Typed> all;
  const auto with = [&](auto x) { (all.push_back(f(x, B{})), ...); };
  (with(A{}), ...);
  return all;
}
template <auto Type>
using type_of = typename decltype(Type())::type;

}  // namespace

TEST_CASE(
    "structural operations: no difference to JAX is unexplained, and what we refuse although it is local names an "
    "axis that no operand names") {
  const Tally t = tally(structure);
  INFO(Tally::some(t.unexplained()));
  CHECK(t.all().unexplained == 0);
  CHECK(t.all().rows == 2362);
  int invented = 0;
  for (const JaxRow& row : all_rows()) {
    const auto ours = structure(row);
    if (!ours || ours->accepted || !row.refused || row.out_sharding || !something_is_local(row)) continue;
    unsigned used = 0;
    for (const SpecValue& x : row.operands) used |= x.used();
    for (const auto& specs : row.local)
      for (const SpecValue& s : specs) CHECK((s.used() & ~used) != 0);
    ++invented;
  }
  // 2x4 P(None, 'data') -> 8 P(('model', 'data')) would slice over `model` unasked. With reshard<P<model, data>> it is
  // asked.
  CHECK(invented == t.all().refused_though_local);
}

TEST_CASE("240 rows as types agree with the rules over values") {
  // reshape, transpose, slices
  using S = Shape<4, 8>;
  const auto reshaped = [](auto to, const char* params) {
    return agree(each(
                     [](auto spec) {
                       using X = T<S, decltype(spec)>;
                       using To = decltype(to);
                       return typed<type_of<tess::detail::reshape_fact_of<X, To>>, X>(
                           [](Dry&, auto x) { return reshape<To>(x); });
                     },
                     Rank2{}),
                 "reshape", params);
  };
  CHECK(reshaped(Shape<32>{}, "to=32") == 11);
  CHECK(reshaped(Shape<8, 4>{}, "to=8x4") == 11);
  CHECK(reshaped(Shape<4, 8, 1>{}, "to=4x8x1") > 0);
  CHECK(reshaped(Shape<4, 4, 2>{}, "to=4x4x2") >= 0);
  CHECK(reshaped(Shape<2, 16>{}, "to=2x16") > 0);

  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<nothing_wrong, X>([](Dry& dev, auto x) { return transpose<1, 0>(dev, x); });
                  },
                  Rank2{}),
              "transpose", "perm=1,0") > 0);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<tess::detail::slicing_fact<operations::slice, X, 0, 1, 3, 1>, X>(
                        [](Dry& dev, auto x) { return slice<0, 1, 3>(dev, x); });
                  },
                  Rank2{}),
              "slice", "start=1,0 limit=3,8 stride=1,1") > 0);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<tess::detail::slicing_fact<operations::slice, X, 1, 0, 8, 2>, X>(
                        [](Dry& dev, auto x) { return slice<1, 0, 8, 2>(dev, x); });
                  },
                  Rank2{}),
              "slice", "start=0,0 limit=4,8 stride=1,2") > 0);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<type_of<tess::detail::window_fact_of<X, Shape<4, 4>>>, X>([](Dry& dev, auto x) {
                      return dynamic_slice<Shape<4, 4>>(dev, x, {0, 0});
                    });
                  },
                  Rank2{}),
              "dynamic_slice", "sizes=4x4") > 0);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<type_of<tess::detail::padding_fact_of<X, 1, 4, 4, 0, true>>, X>(
                        [](Dry& dev, auto x) { return pad<1, 4, 4>(dev, x); });
                  },
                  Rank2{}),
              "pad", "low,high,interior=0,0,0 4,4,0") > 0);

  // sort, top_k and cumsum
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<tess::detail::one_dim_fact<operations::sort, X, 0, rules::Acts::decides>, X>(
                        [](Dry& dev, auto x) { return sort<0>(dev, x); });
                  },
                  Rank2{}),
              "sort", "axis=0") == 11);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<tess::detail::one_dim_fact<operations::cumsum, X, 1, rules::Acts::adds>, X>(
                        [](Dry& dev, auto x) { return cumsum<1>(dev, x); });
                  },
                  Rank2{}),
              "cumsum", "axis=1") == 11);
  CHECK(agree(each(
                  [](auto spec) {
                    using X = T<S, decltype(spec)>;
                    return typed<type_of<tess::detail::top_k_fact_of<X, 1, 2, 1>>, X>(
                        [](Dry& dev, auto x) { return top_k<1, 2>(dev, x).values; });
                  },
                  Rank2{}),
              "top_k", "k=2 axis=1") == 11);

  // concatenate and updates: pairs of specs
  CHECK(agree(each_pair(
                  [](auto a, auto b) {
                    using X = T<S, decltype(a)>;
                    using Y = T<S, decltype(b)>;
                    return typed<type_of<tess::detail::concatenate_fact_of<operations::concatenate, 1, X, Y>>, X, Y>(
                        [](Dry& dev, auto x, auto y) { return concatenate<1>(dev, x, y); });
                  },
                  Rank2{}, Rank2{}),
              "concatenate", "axis=1") > 40);
  CHECK(agree(each_pair(
                  [](auto a, auto b) {
                    using X = T<S, decltype(a)>;
                    using Y = T<Shape<4, 4>, decltype(b)>;
                    return typed<type_of<tess::detail::update_fact_of<X, Y>>, X, Y>([](Dry& dev, auto x, auto y) {
                      return dynamic_update_slice(dev, x, y, {0, 0});
                    });
                  },
                  Rank2{}, Rank2{}),
              "dynamic_update_slice", "update=4x4") == 36);
  support::report("rows of structural operations as types", std::to_string(rows_as_types));
  CHECK(rows_as_types == 240);
}
