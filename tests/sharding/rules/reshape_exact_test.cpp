// Which reshapes are local: the exact rule against brute force over elements, row by row.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/sharding/rules/reshape.hpp>

#include "support/jax_rows.hpp"
#include "support/summary.hpp"

using namespace tess;
using namespace tess::rules;

namespace {

ShapeValue shape_of(const std::string& text) {
  ShapeValue s;
  for (const index_t n : support::parse_shape(text)) s.push(n);
  return s;
}

}  // namespace

TEST_CASE("reshape_exact.csv: the rule finds the one local result where there is one, and refuses everything else") {
  int rows = 0, local = 0, hidden_exchange = 0, jax_refuses = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/reshape_exact.csv")) {
    const auto mesh = support::parse_mesh(row.at("mesh"));
    const auto from = shape_of(row.at("in_shape")), to = shape_of(row.at("out_shape"));
    const auto x = support::parse_spec(row.at("in_spec"), mesh.axes);
    const ReshapeVerdict exact = reshape_exactly(mesh.value, from, x.without(mesh.value.trivial()), to);
    const ReshapeVerdict named = reshape(mesh.value, from, x, to);
    INFO(row.at("mesh") << ": " << row.at("in_shape") << " " << row.at("in_spec") << " -> " << row.at("out_shape"));
    ++rows;
    if (row.at("local_specs") == "none") {
      CHECK(exact.fault == ReshapeFault::not_local);
      CHECK(named.fault == ReshapeFault::not_local);
      hidden_exchange += row.at("class") == "jax_hidden_exchange";
    } else {
      const auto truth = support::parse_spec(row.at("local_specs"), mesh.axes);
      CHECK(exact.fault == ReshapeFault::none);
      CHECK(exact.result == truth.without(mesh.value.trivial()));
      CHECK(named.result.without(mesh.value.trivial()) == exact.result);
      ++local;
      jax_refuses += row.at("class") == "jax_refuses_local";
    }
  }
  CHECK(rows == 11418);
  CHECK(hidden_exchange == 172);
  CHECK(jax_refuses == 1861);
  support::report_rows("reshape_exact", rows, rows - hidden_exchange - jax_refuses, hidden_exchange, jax_refuses, 0);
  CHECK(local == 4573 + 1861);
}
