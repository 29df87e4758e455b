// The planner, run over all 121 transitions of a matrix on a 2x4 mesh and compared with the cheapest plans there are.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include <tess/comm/plan.hpp>

#include "support/csv.hpp"

using namespace tess;

namespace {

constexpr index_t side = 16;
const std::vector<std::string> axes = {"data", "model"};

detail::PlanProblem problem(const SpecValue& source, const SpecValue& target) {
  detail::PlanProblem p;
  p.source = source, p.target = target;
  p.extents = {side, side};
  p.sizes = {2, 4};
  p.axes = 2;
  return p;
}

/// What one step makes of a spec: the definition of the collectives, independent of the search.
SpecValue applied(const PlanStep& step, SpecValue s) {
  switch (step.what) {
    case Collective::slice:
      s[step.to].push(step.axis);
      break;
    case Collective::all_gather:
      CHECK(s[step.from].pop() == step.axis);
      break;
    case Collective::all_to_all:
      CHECK(s[step.from].pop() == step.axis);
      s[step.to].push(step.axis);
      break;
    case Collective::all_reduce:
      s.partial &= ~(1u << step.axis);
      break;
    case Collective::reduce_scatter:
      s.partial &= ~(1u << step.axis);
      s[step.to].push(step.axis);
      break;
  }
  return s;
}

/// Brute force: is there any chain of steps over one axis each on which no shard is larger than `share` of the whole?
bool reachable_within(const detail::PlanProblem& p, double share) {
  std::vector<SpecValue> seen = {p.source};
  const auto visit = [&](const SpecValue& s) {
    if (p.share(s) <= share && std::find(seen.begin(), seen.end(), s) == seen.end()) seen.push_back(s);
  };
  for (std::size_t i = 0; i < seen.size(); ++i)
    for (int d = 0; d < 2; ++d) {
      for (int a = 0; a < p.axes; ++a)
        if (!(seen[i].used() >> a & 1u)) visit(applied({Collective::slice, a, d, d, {}}, seen[i]));
      if (seen[i][d].count == 0) continue;
      const int minor = seen[i][d][seen[i][d].count - 1];
      visit(applied({Collective::all_gather, minor, d, d, {}}, seen[i]));
      visit(applied({Collective::all_to_all, minor, d, 1 - d, {}}, seen[i]));
    }
  return std::find(seen.begin(), seen.end(), p.target) != seen.end();
}

}  // namespace

TEST_CASE(
    "a plan leads from the source to the target, above the lower bound, in no more memory than either end where that "
    "can be") {
  int all = 0, equal = 0, larger = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/sharding_golden_2x4.csv")) {
    CAPTURE(row.at("src"));
    CAPTURE(row.at("dst"));
    const auto p = problem(support::parse_spec(row.at("src"), axes), support::parse_spec(row.at("dst"), axes));
    const Plan plan = p.source == p.target ? Plan{.found = true} : detail::PlanSearch(p).run();
    REQUIRE(plan.found);

    SpecValue at = p.source;
    const auto elements = [&] { return static_cast<index_t>(side * side * p.share(at)); };
    index_t received = 0, peak = elements();
    for (int i = 0; i < plan.size; ++i) {
      received += received_elements(plan[i].what, elements(), p.size(plan[i].axis));
      at = applied(plan[i], at);
      CHECK(at == plan[i].after);
      peak = std::max(peak, elements());
    }
    CHECK(at == p.target);

    constexpr double whole = side * side;
    CHECK(static_cast<double>(received) >= whole * support::fraction(row.at("p2p_lower_bound_over_V")));
    const double ends = std::max(p.share(p.source), p.share(p.target));
    if (reachable_within(p, ends)) CHECK(static_cast<double>(peak) <= whole * ends);
    else ++larger;
    const double best = whole * support::fraction(row.at("recv_bytes_per_device_over_V"));
    ++all;
    equal += static_cast<double>(received) == best;
    // One step over one axis is found as it is. (The goldens know permutes and steps over several axes at once too.)
    const std::string& golden = row.at("min_byte_plan");
    if (golden.find_first_of(";+") == std::string::npos && golden != "permute") {
      CHECK(static_cast<double>(received) == best);
      CHECK(plan.size == (golden == "identity" ? 0 : 1));
    }
  }
  CHECK(all == 121);
  CHECK(equal >= 75);
  CHECK(larger == 18);
  MESSAGE(equal << " of " << all << " plans move exactly the bytes of the cheapest plan; " << larger
                << " pairs have no chain of steps over single axes that needs no more memory than either end");
}
