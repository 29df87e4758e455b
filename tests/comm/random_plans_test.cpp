// Random reshards on random meshes: every element on every device, every byte of the bill, and the laws of reshard.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <numeric>
#include <random>

#include "support/summary.hpp"
#include "support/transitions.hpp"

using namespace support;

namespace {

constexpr int transitions = 20000;

/// TESS_SEED=1234 repeats a run.
unsigned seed() {
  const char* given = std::getenv("TESS_SEED");
  return given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
}

class Dice {
 public:
  explicit Dice(unsigned s) : engine_(s) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }

  MeshValue mesh() {
    MeshValue m;
    m.rank = 1 + below(4);
    for (int a = 0; a < m.rank; ++a) {
      m.sizes[static_cast<std::size_t>(a)] = 1 + below(6);
      if (below(8) == 0) m.between_hosts |= 1u << a;
    }
    return m;
  }
  /// Every axis shards some dimension, or none; of those that may be pending, some are.
  SpecValue spec(const MeshValue& m, int rank, unsigned may_be_pending, Reduction kind) {
    SpecValue s;
    s.rank = rank;
    std::array<int, 4> order{0, 1, 2, 3};
    for (int i = m.rank; i-- > 1;)
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
    unsigned pending = 0;
    for (int i = 0; i < m.rank; ++i) {
      const int a = order[static_cast<std::size_t>(i)], where = below(rank + 2);
      if (may_be_pending >> a & 1u && below(3) == 0) pending |= 1u << a;
      else if (where < rank) s[where].push(a);
    }
    s.pend(pending, kind);
    return placement(m, s);
  }

 private:
  std::mt19937 engine_;
};

/// Extents that all the specs divide.
AllExtents extents_for(Dice& dice, const MeshValue& m, std::initializer_list<SpecValue> specs) {
  AllExtents e{};
  for (int d = 0; d < specs.begin()->rank; ++d) {
    index_t n = 1;
    for (const SpecValue& s : specs) n = std::lcm(n, parts(m, s[d]));
    e[static_cast<std::size_t>(d)] = n * (1 + dice.below(n > 12 ? 1 : 3));
  }
  return e;
}

/// Without the bound on the compiler's patience.
Plan best_plan(const PlanProblem& p) { return find_plan<1 << 14>(p, 1 << 20); }

PlanProblem problem(const MeshValue& m, const SpecValue& from, const SpecValue& to, const AllExtents& e) {
  return {m, from, to, e, sizeof(std::int64_t), FewestBytes::links};
}

}  // namespace

TEST_CASE("20,000 random reshards put every element on every device, for the bytes of the bill") {
  const unsigned s = seed();
  MESSAGE("TESS_SEED=" << s);
  Dice dice(s);
  int at_bound = 0, with_exchange = 0, pending = 0, made_pending = 0, in_parts = 0;
  for (int i = 0; i < transitions; ++i) {
    CAPTURE(i);
    const MeshValue m = dice.mesh();
    const int rank = 1 + dice.below(4);
    const auto kind = static_cast<Reduction>(dice.below(3));
    const SpecValue from = dice.spec(m, rank, dice.below(3) ? 0 : ~0u, kind);
    const int pends = dice.below(4);  // the target keeps pending axes, finishes all, or has others
    const SpecValue to = dice.spec(m, rank, pends == 0 ? ~0u : pends == 1 ? 0 : from.partial, kind);
    const unsigned added = to.partial & ~from.partial;
    const PlanProblem p = problem(m, from, to, extents_for(dice, m, {from, to}));
    const Plan plan = find_plan(p);
    REQUIRE(plan.found);
    const Outcome o = carried_out(plan, p, filled(p));
    REQUIRE(wrong_elements(p, o.shards) == 0);
    REQUIRE(o.moved == o.billed);
    REQUIRE(o.moved_by_all == o.billed_to_all);
    const index_t ends = std::max(shard_box(m, from, p.extents, 0).size(), shard_box(m, to, p.extents, 0).size());
    REQUIRE(o.peak <= ends);
    bool gathered = false;
    for (int k = 0; k < plan.size; ++k) {
      const bool gather = plan[k].what == Collective::all_gather;
      const bool pend = plan[k].what == Collective::pend;
      REQUIRE((!gathered || gather || pend));  // gathers come last, but for what makes values pending
      REQUIRE((!pend || k + 1 == plan.size));
      gathered = gather;
      with_exchange += plan[k].what == Collective::exchange;
    }
    in_parts += plan.refinement != Refinement::none;
    const bool sums = from.partial != to.partial;
    ++(added ? made_pending : sums ? pending : at_bound);
    if (added) continue;
    if (sums) REQUIRE(o.moved >= lower_bound(p));
    else REQUIRE(o.moved == lower_bound(p));
  }
  CHECK(at_bound + pending + made_pending == transitions);
  CHECK(made_pending > transitions / 20);
  MESSAGE(at_bound << " move exactly what some device lacks, " << pending
                   << " finish sums, maxima or minima on the way; " << with_exchange << " use an exchange, " << in_parts
                   << " a part of an axis");
  report("random transitions", std::to_string(transitions) + ", seed " + std::to_string(s) + ": " +
                                   std::to_string(at_bound) + " at the lower bound, " + std::to_string(pending) +
                                   " finish a pending value, " + std::to_string(made_pending) +
                                   " make one; every element checked");
}

TEST_CASE("there and back is the identity; by way of a third spec it is the same, and never cheaper") {
  const unsigned s = seed();
  MESSAGE("TESS_SEED=" << s);
  Dice dice(s);
  for (int i = 0; i < 3000; ++i) {
    CAPTURE(i);
    const MeshValue m = dice.mesh();
    const int rank = 1 + dice.below(4);
    const auto kind = static_cast<Reduction>(dice.below(3));
    const SpecValue from = dice.spec(m, rank, dice.below(3) ? 0 : ~0u, kind);
    const SpecValue by = dice.spec(m, rank, from.partial, kind);
    const SpecValue to = dice.spec(m, rank, by.partial, kind);
    const AllExtents e = extents_for(dice, m, {from, by, to});
    const PlanProblem direct = problem(m, from, to, e), first = problem(m, from, by, e), second = problem(m, by, to, e);
    const Plan plan = best_plan(direct), to_third = best_plan(first), onward = best_plan(second);
    const Shards start = filled(direct);
    const Outcome a = carried_out(plan, direct, start), b = carried_out(to_third, first, start);
    const Outcome c = carried_out(onward, second, b.shards);
    REQUIRE(c.shards == a.shards);
    CHECK(a.moved <= b.moved + c.moved);
    if (from.partial != to.partial) continue;
    const PlanProblem back = problem(m, to, from, e);
    REQUIRE(carried_out(find_plan(back), back, a.shards).shards == start);
  }
}
