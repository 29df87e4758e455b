// The planner, run over all transitions of the golden tables, and what other prices make of its choices.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "support/csv.hpp"
#include "support/summary.hpp"
#include "support/transitions.hpp"

using namespace support;

namespace {

constexpr index_t side = 16;

/// How the plans for one table compare with it.
struct Tally {
  int rows = 0, equal = 0, fewer = 0, at_bound = 0, in_parts = 0, exchanges = 0;
};

/// Every row: planned, carried out on elements that are their own names, every one checked on every device.
Tally compare(const char* table, const char* mesh, const Links& links) {
  Tally t;
  const NamedMesh m = parse_mesh(mesh);
  for (const Row& row : read_csv(std::string(TESS_SHARDING_DATA "/") + table)) {
    CAPTURE(row.at("src"));
    CAPTURE(row.at("dst"));
    const PlanProblem p{m.value,
                        parse_spec(row.at("src"), m.axes),
                        parse_spec(row.at("dst"), m.axes),
                        {side, side},
                        sizeof(std::int64_t),
                        links};
    const Plan plan = find_plan(p);
    REQUIRE(plan.found);
    const Outcome o = carried_out(plan, p, filled(p));
    CHECK(wrong_elements(p, o.shards) == 0);
    CHECK(o.moved == o.billed);
    CHECK(o.moved_by_all == o.billed_to_all);
    const auto part = [](index_t bytes) { return static_cast<double>(bytes) / (side * side * sizeof(std::int64_t)); };
    const double golden = fraction(row.at("recv_bytes_per_device_over_V"));
    CHECK(part(lower_bound(p)) == fraction(row.at("p2p_lower_bound_over_V")));
    CHECK(part(o.moved) <= golden);
    CHECK(part(o.peak * static_cast<index_t>(sizeof(std::int64_t))) <= fraction(row.at("peak_local_over_V")));
    if (row.at("min_byte_plan") == "identity") CHECK(plan.size == 0);
    ++t.rows;
    ++(part(o.moved) == golden ? t.equal : t.fewer);
    t.at_bound += o.moved == lower_bound(p);
    t.in_parts += plan.refinement != Refinement::none;
    for (int i = 0; i < plan.size; ++i) t.exchanges += plan[i].what == Collective::exchange;
  }
  MESSAGE(t.rows << " transitions of " << std::string(table) << ": " << t.equal << " at the golden's bytes, " << t.fewer
                 << " below them, " << t.at_bound << " at the lower bound, " << t.exchanges << " by an exchange, "
                 << t.in_parts << " in parts of axes");
  return t;
}

DimAxes axes(std::initializer_list<int> list) {
  DimAxes a;
  for (const int i : list) a.push(i);
  return a;
}
SpecValue sharded(std::initializer_list<DimAxes> dims, unsigned partial = 0) {
  SpecValue s;
  for (const DimAxes& d : dims) s[s.rank++] = d;
  s.pend(partial);
  return s;
}
PlanProblem on(const MeshValue& m, const SpecValue& from, const SpecValue& to, index_t extent, const Links& links) {
  return {m, from, to, {extent, extent}, 4, links};
}
std::vector<Collective> kinds(const Plan& plan) {
  std::vector<Collective> k;
  for (int i = 0; i < plan.size; ++i) k.push_back(plan[i].what);
  return k;
}
using enum Collective;

constexpr MeshValue grid(index_t a, index_t b, unsigned between_hosts = 0) {
  MeshValue m;
  m.rank = 2, m.sizes[0] = a, m.sizes[1] = b, m.between_hosts = between_hosts;
  return m;
}

}  // namespace

TEST_CASE("all 121 transitions of a matrix on a 2x4 mesh move what some device lacks, and no more") {
  const Tally t = compare("sharding_golden_2x4.csv", "data=2 model=4", FewestBytes::links);
  CHECK(t.rows == 121);
  CHECK(t.at_bound == 121);
  CHECK(t.fewer == 30);
  report_rows("sharding_golden_2x4.csv", t.rows, t.equal, 0, t.fewer, 0);
  report("transitions at the lower bound, 2x4", std::to_string(t.at_bound) + " of " + std::to_string(t.rows));
}

TEST_CASE("all 2401 transitions of a matrix on a 2x2x2 mesh move what some device lacks, and no more") {
  const Tally t = compare("sharding_golden_2x2x2.csv", "x=2 y=2 z=2", FewestBytes::links);
  CHECK(t.rows == 2401);
  CHECK(t.at_bound == 2401);
  CHECK(t.fewer == 840);
  report_rows("sharding_golden_2x2x2.csv", t.rows, t.equal, 0, t.fewer, 0);
  report("transitions at the lower bound, 2x2x2", std::to_string(t.at_bound) + " of " + std::to_string(t.rows));
}

TEST_CASE("chains of collectives alone are as short of the bound as the goldens' exhaustive search, or nearer") {
  const Tally t = compare("sharding_golden_2x4.csv", "data=2 model=4", CollectivesOnly::links);
  CHECK(t.exchanges == 0);
  CHECK(t.equal == 115);
  CHECK(t.fewer == 6);  // half of an axis moves where the goldens move a whole one
  CHECK(t.in_parts == 6);
  const Tally cube = compare("sharding_golden_2x2x2.csv", "x=2 y=2 z=2", CollectivesOnly::links);
  CHECK(cube.exchanges == 0);
  CHECK(cube.equal == 2401);
}

TEST_CASE("a sum over hosts is first taken within each host, by the default already") {
  const MeshValue m = grid(2, 4, 0b01);
  const PlanProblem p = on(m, sharded({{}, {}}, 0b11), sharded({{}, {}}), 64, FewestBytes::links);
  const Plan plan = find_plan(p);
  CHECK(kinds(plan) == std::vector{reduce_scatter, all_reduce, all_gather});
  CHECK(plan[0].axes == axes({1}));  // within
  CHECK(plan[1].axes == axes({0}));  // between
  // The bytes are those of one all-reduce over everybody.
  CHECK(bytes_of_plan(plan, p) ==
        received_elements(all_reduce, 64 * 64, 8) * static_cast<index_t>(sizeof(std::int64_t)));
  // On one host a single step is as good.
  CHECK(kinds(find_plan(on(grid(2, 4), p.source, p.target, 64, p.links))) == std::vector{all_reduce});
}

TEST_CASE("where a message costs more than its bytes, plans of fewer messages win") {
  // P(data, model) -> P(model, data): collectives in three steps, or everybody asks seven others.
  const SpecValue from = sharded({axes({0}), axes({1})}), to = sharded({axes({1}), axes({0})});
  constexpr Links fast_bytes{{1'000'000, 1}, {1'000'000, 1}, 0, 0, true};
  const auto messages = [&](index_t extent) {
    const PlanProblem p = on(grid(2, 8), from, to, extent, fast_bytes);
    const Plan plan = find_plan(p);
    index_t n = 0;
    SpecValue at = plan.source;
    for (int i = 0; i < plan.size; at = plan[i++].after)
      n += step_bill(plan[i].what, plan.mesh, at, plan[i].after, p.extents, 4).messages;
    return n;
  };
  CHECK(messages(16) < messages(1 << 14));
}

TEST_CASE("a run-time extent takes only what source and target promise that it divides into") {
  // Rows over data, or over model: never over both on the way, which the extent need not divide into.
  PlanProblem p = on(grid(4, 4), sharded({axes({0}), {}}), sharded({axes({1}), {}}), 16, FewestBytes::links);
  CHECK(kinds(find_plan(p)) == std::vector{permute});
  p.mesh = grid(2, 4), p.extents[0] = dyn, p.extents[1] = 7;
  const Plan plan = find_plan(p);
  for (int i = 0; i < plan.size; ++i) CHECK(4 % parts(plan.mesh, plan[i].after[0]) == 0);
}

TEST_CASE("collectives alone do what they can, and exchanges the rest") {
  // On 2x3 nothing but an exchange swaps P(data, model) in what every device lacks.
  PlanProblem p =
      on(grid(2, 3), sharded({axes({0}), axes({1})}), sharded({axes({1}), axes({0})}), 6, FewestBytes::links);
  const Plan exact = find_plan(p);
  CHECK(kinds(exact) == std::vector{exchange});
  p.links = CollectivesOnly::links;
  const Plan chain = find_plan(p);
  REQUIRE(chain.found);
  for (const Collective c : kinds(chain)) CHECK(c != exchange);
  CHECK(bytes_of_plan(chain, p) > bytes_of_plan(exact, p));
  CHECK(wrong_elements(p, carried_out(chain, p, filled(p)).shards) == 0);
}
