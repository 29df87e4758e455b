// The reshards of explicit_ops.csv: our plan moves bytes exactly where XLA's program for the same pair of specs does.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "sharding/jax/resharding.hpp"
#include "support/transitions.hpp"

using namespace support;

TEST_CASE("289 reshards beside JAX's: the same spec, and no bytes move where XLA's program moves none") {
  jax::Tally tally;
  int planned = 0, silent = 0, cheaper = 0;
  for (const jax::JaxRow& row : jax::all_rows()) {
    const auto ours = jax::resharding(row);
    if (!ours) continue;
    tally.add(row, *ours);
    if (!ours->accepted) continue;
    CAPTURE(row["in_specs"]);
    CAPTURE(row.params);
    PlanProblem p{row.on(), placement(row.on(), row.operands[0]), placement(row.on(), ours->results[0]), {}};
    std::copy(row.shapes[0].begin(), row.shapes[0].end(), p.extents.begin());
    const Plan plan = find_plan(p);
    REQUIRE(plan.found);
    const Outcome o = carried_out(plan, p, filled(p));
    CHECK(wrong_elements(p, o.shards) == 0);
    if (row["hlo"] == "none") CHECK(o.moved == 0);
    cheaper += o.moved == 0 && row["hlo"] != "none";
    ++planned;
    silent += o.moved == 0;
  }
  CHECK(tally.all().rows == 289);
  CHECK(tally.all().same == 289);
  CHECK(planned == 289);
  CHECK(silent == 123 + cheaper);
}
