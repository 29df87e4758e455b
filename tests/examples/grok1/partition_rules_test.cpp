// Every parameter of the full-size Grok-1: its spec by our table, and its shard on seven meshes, as JAX has them.
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

/// Checks the shard shapes of one column.
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

/// Scales have no spec of their own: a shard of rows takes those of the groups that it touches (io/load.hpp). On every mesh it holds
/// whole groups, or is part of one.
template <tess::index_t D, tess::index_t M>
void check_scales(tess::index_t rows, tess::index_t groups, const tess::SpecValue& weight) {
  const tess::index_t shard = rows / tess::parts<Grid<D, M>>(weight[weight.rank - 2]), group = rows / groups;
  CHECK((shard % group == 0 || group % shard == 0));
}

/// f(mesh) for the seven meshes of the table.
template <class F>
void on_every_mesh(F f) {
  f(Grid<1, 1>{}), f(Grid<1, 8>{}), f(Grid<2, 4>{}), f(Grid<4, 2>{}), f(Grid<8, 1>{}), f(Grid<2, 8>{}),
      f(Grid<1, 16>{});
}

}  // namespace

TEST_CASE("specs and shard shapes of all 1218 parameters of Grok-1") {
  const auto specs = specs_of(std::make_integer_sequence<int, PARTITION_RULES::size>{});
  int weights = 0, scales = 0;
  tess::index_t rows = 0;  // of the weight in the line above
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/grok1_param_specs.csv")) {
    CAPTURE(row.at("path"));
    const int rule = PARTITION_RULES::index(row.at("path"));
    REQUIRE(rule == std::stoi(row.at("rule_index")));
    tess::SpecValue spec = specs[static_cast<std::size_t>(rule)];
    spec.rank = static_cast<int>(support::parse_shape(row.at("shape")).size());
    CHECK(spec == support::parse_spec(row.at("spec"), {"data", "model"}));
    if (row.at("part") == "scales") {
      const tess::index_t groups = std::stol(row.at("scale_groups"));
      on_every_mesh([&]<class G>(G) { check_scales<G::axis_size(0), G::axis_size(1)>(rows, groups, spec); });
      ++scales;
    } else {
      on_every_mesh([&]<class G>(G) { check_column<G::axis_size(0), G::axis_size(1)>(row, spec); });
      const auto shape = support::parse_shape(row.at("shape"));
      if (shape.size() > 1) rows = shape[shape.size() - 2];
      ++weights;
    }
  }
  CHECK(weights == 770);
  CHECK(scales == 448);
}
