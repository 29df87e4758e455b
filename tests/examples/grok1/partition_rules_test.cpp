// Every parameter of the full-size Grok-1: its spec by our table, and its shard on seven meshes, as JAX has them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/scales_spec.hpp>

#include "grok1/partition_rules.hpp"
#include "support/csv.hpp"
#include "support/summary.hpp"

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

/// Scales derive their spec from the weight's: where JAX can shard them as the weight, the shard is the same; where it cannot
/// ("array axis 1 is partitioned 2 times, but the dimension size is 1"), ours has the groups of every row of the weight's shard.
template <tess::index_t D, tess::index_t M>
bool check_scales(const support::Row& row, const tess::SpecValue& weight, tess::index_t rows) {
  constexpr tess::MeshValue mesh = tess::mesh_value<Grid<D, M>>;
  const tess::index_t groups = std::stol(row.at("scale_groups")), group = rows / groups;
  const tess::SpecValue spec = tess::scales_spec(mesh, weight, groups);
  auto shape = support::parse_shape(row.at("shape"));
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const tess::index_t n = tess::parts(mesh, spec[static_cast<int>(d)]);
    REQUIRE(shape[d] % n == 0);
    shape[d] /= n;
  }
  const int k = weight.rank - 2;
  const tess::index_t own_rows = rows / tess::parts(mesh, weight[k]), own_groups = groups / tess::parts(mesh, spec[k]);
  for (tess::index_t device = 0; device < mesh.devices(); ++device) {
    const tess::index_t first = tess::shard_index(mesh, weight[k], device) * own_rows,
                        begin = tess::shard_index(mesh, spec[k], device) * own_groups;
    CHECK(begin <= first / group);
    CHECK((first + own_rows - 1) / group < begin + own_groups);
  }
  const std::string& expected = row.at("shard_" + std::to_string(D) + "x" + std::to_string(M));
  if (expected.starts_with("error")) return false;
  CHECK(shape == support::parse_shape(expected));
  return true;
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
  int weights = 0, scales = 0, same = 0, better = 0;
  tess::index_t rows = 0;  // of the weight in the line above
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/grok1_param_specs.csv")) {
    CAPTURE(row.at("path"));
    const int rule = PARTITION_RULES::index(row.at("path"));
    REQUIRE(rule == std::stoi(row.at("rule_index")));
    tess::SpecValue spec = specs[static_cast<std::size_t>(rule)];
    spec.rank = static_cast<int>(support::parse_shape(row.at("shape")).size());
    CHECK(spec == support::parse_spec(row.at("spec"), {"data", "model"}));
    if (row.at("part") == "scales") {
      on_every_mesh(
          [&]<class G>(G) { ++(check_scales<G::axis_size(0), G::axis_size(1)>(row, spec, rows) ? same : better); });
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
  CHECK(better == 4 * 320 + 128);  // JAX: 320 with one group on four meshes with data > 1, 128 with eight on model = 16
  CHECK(same == 7 * 448 - better);
  support::report_rows("grok1_param_specs.csv (x 7 meshes)", 7 * (weights + scales), 7 * weights + same, 0, better, 0);
}
