// Rows of explicit_ops.csv as types: einsum and take have the spec that the rule gives as a value.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/take.hpp>

#include "sharding/jax/contraction.hpp"
#include "sharding/jax/gather.hpp"
#include "sharding/jax/types.hpp"

using namespace tess;
using namespace support::jax;

namespace {

/// What the types say: the operands' specs, and the spec of the result unless they refuse.
struct Typed {
  SpecValue lhs, rhs;
  std::optional<SpecValue> result;
};

template <class F, class... A, class... B>
std::vector<Typed> all_pairs(F f, Specs<A...>, Specs<B...>) {
  std::vector<Typed> all;
  const auto with = [&](auto x) { (all.push_back(f(x, B{})), ...); };
  (with(A{}), ...);
  return all;
}

/// Each pair that has a row: the types agree with the rule over values, which the row explains.
template <class Rule>
int agree(const std::vector<Typed>& typed, const std::string& op, const std::string& params, Rule rule) {
  int found = 0;
  for (const Typed& t : typed) {
    const std::string specs = text_of(t.lhs, names) + " ; " + text_of(t.rhs, names);
    for (const JaxRow& row : all_rows()) {
      if (row.op != op || row.params != params || row["mesh"] != "data=2 model=2" || row["in_specs"] != specs) continue;
      const Answer ours = *rule(row);
      INFO(specs);
      CHECK(ours.accepted == t.result.has_value());
      if (t.result) CHECK(ours.results.at(0) == *t.result);
      CHECK(classify(row, ours).verdict != Verdict::unexplained);
      ++found;
    }
  }
  return found;
}

}  // namespace

TEST_CASE("products and lookups: whatever has a local result is accepted, as a value over all 2,307 rows") {
  const Tally products = tally(contraction), lookups = tally(gather);
  CHECK(products.all().rows + lookups.all().rows == 2307);
  for (const Tally& t : {products, lookups}) {
    INFO(Tally::some(t.refused_though_local()));
    CHECK(t.all().refused_though_local == 0);
    CHECK(t.all().unexplained == 0);
  }
  CHECK(products.of(JaxClass::hidden_collective) == 493);
  CHECK(products.of(JaxClass::refuses_contraction) == 146);
  CHECK(products.of(JaxClass::refuses_linear) == 10);
  CHECK(products.of(JaxClass::refuses_size_one) == 58);
  CHECK(lookups.of(JaxClass::hidden_collective) == 123);
  CHECK(lookups.of(JaxClass::refuses_gather) == 79);
  CHECK(lookups.of(JaxClass::refuses_linear) == 9);
  CHECK(lookups.of(JaxClass::refuses_size_one) == 20);
}

TEST_CASE("mk,kn->mn as types: all 121 pairs of specs") {
  const auto typed = all_pairs(
      [](auto x, auto w) {
        using X = ShardedTensor<f32, Shape<4, 4>, M, decltype(x)>;
        using W = ShardedTensor<f32, Shape<4, 8>, M, decltype(w)>;
        using L = Labels<'m', 'k'>;
        using R = Labels<'k', 'n'>;
        using O = Labels<'m', 'n'>;
        Typed t{X::sharding, W::sharding, {}};
        if constexpr (std::is_same_v<tess::detail::product_fact<tess::detail::Equation<L, R, O>, X, W>, nothing_wrong>)
          t.result = decltype(einsum<L, R, O>(std::declval<Dry&>(), X{}, W{}))::sharding;
        return t;
      },
      Rank2{}, Rank2{});
  CHECK(agree(typed, "dot_general", "mk,kn->mn", contraction) == 121);
}

TEST_CASE("take as types: 55 pairs of specs") {
  const auto typed = all_pairs(
      [](auto table, auto ids) {
        using T = ShardedTensor<f32, Shape<8, 4>, M, decltype(table)>;
        using I = ShardedTensor<i32, Shape<8>, M, decltype(ids)>;
        Typed t{T::sharding, I::sharding, {}};
        if constexpr (std::is_same_v<tess::detail::lookup_fact<tess::detail::Lookup<T, I, 0, false>, I, T>,
                                     nothing_wrong>)
          t.result = decltype(take(std::declval<Dry&>(), T{}, I{}))::sharding;
        return t;
      },
      Rank2{}, Rank1{});
  CHECK(agree(typed, "take", "axis=0 ids rank 1", gather) == 55);
}
