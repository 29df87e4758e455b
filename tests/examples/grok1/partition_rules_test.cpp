// Every parameter of the full-size Grok-1: its spec by our table, and its shard on seven meshes, as JAX and run.py have them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

#include <tess/sharding/spec_value.hpp>

#include "grok1/partition_rules.hpp"
#include "support/csv.hpp"

using namespace grok1;

namespace {

template <tess::index_t D, tess::index_t M>
using Grid = tess::Mesh<tess::Axis<data, D>, tess::Axis<model, M>>;

/// The specs of the table, by the numbers of its rules, as values at rank 3.
template <int... I>
auto specs_of(std::integer_sequence<int, I...>) {
  return std::array{tess::spec_value<PARTITION_RULES::spec<I>, Grid<1, 1>, 3>...};
}

/// Checks the shard shapes of one column; a group of scales is shared by the shards that it touches, so scales need not divide.
template <tess::index_t D, tess::index_t M>
void check_column(const support::Row& row, const tess::SpecValue& spec) {
  const std::string& expected = row.at("shard_" + std::to_string(D) + "x" + std::to_string(M));
  auto shape = support::parse_shape(row.at("shape"));
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const tess::index_t n = tess::parts<Grid<D, M>>(spec[static_cast<int>(d)]);
    REQUIRE(shape[d] % n == 0);
    shape[d] /= n;
  }
  CHECK(shape == support::parse_shape(expected));
}

}  // namespace

TEST_CASE("specs and shard shapes of all 1218 parameters of Grok-1") {
  const auto specs = specs_of(std::make_integer_sequence<int, PARTITION_RULES::size>{});
  int weights = 0, scales = 0;
  for (const auto& row : support::read_csv(TESS_TEST_DATA "/sharding/grok1_param_specs.csv")) {
    CAPTURE(row.at("path"));
    const int rule = PARTITION_RULES::index(row.at("path"));
    REQUIRE(rule == std::stoi(row.at("rule_index")));
    tess::SpecValue spec = specs[static_cast<std::size_t>(rule)];
    spec.rank = static_cast<int>(support::parse_shape(row.at("shape")).size());
    CHECK(spec == support::parse_spec(row.at("spec"), {"data", "model"}));
    if (row.at("part") == "scales") {  // they follow their weight on every mesh (io/load.hpp), and need no spec of their own
      ++scales;
      continue;
    }
    check_column<1, 1>(row, spec);
    check_column<1, 8>(row, spec);
    check_column<2, 4>(row, spec);
    check_column<4, 2>(row, spec);
    check_column<8, 1>(row, spec);
    check_column<2, 8>(row, spec);
    check_column<1, 16>(row, spec);
    ++weights;
  }
  CHECK(weights == 770);
  CHECK(scales == 448);
}
