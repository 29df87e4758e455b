// Partition rules: which one decides a path, as xai-org/grok-1's apply_rules answers (125 questions to 36 tables).
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include <tess/sharding/partition_rules.hpp>

#include "support/csv.hpp"

using namespace tess;

namespace {
struct Rule {
  std::string window, spec;
};

/// "" stands for the regular expression that is empty, a window without any for the one that matches everywhere.
std::string window_of(std::string text) {
  for (std::size_t at; (at = text.find("\"\"")) != text.npos;) text.erase(at, 2);
  return text;
}
}  // namespace

TEST_CASE("the first rule whose window matches decides, as in the reference") {
  std::map<std::string, std::vector<Rule>> lists;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/match_rule_lists.csv"))
    lists[row.at("list")].push_back({window_of(row.at("window")), row.at("spec")});

  int answered = 0, refused = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/match_rules.csv")) {
    CAPTURE(row.at("list"));
    CAPTURE(row.at("path"));
    CAPTURE(row.at("shows"));
    const auto& rules = lists.at(row.at("list"));
    if (rules[0].window.find("(?") != std::string::npos) {  // Python's extensions are refused, not misread
      CHECK_THROWS(PartitionRules<>::window_matches(rules[0].window, row.at("path")));
      ++refused;
      continue;
    }
    std::string decided, spec = "None";
    for (std::size_t i = 0; i < rules.size() && decided.empty(); ++i)
      if (PartitionRules<>::window_matches(rules[i].window, row.at("path")))
        decided = std::to_string(i), spec = rules[i].spec;
    CHECK(decided == row.at("rule_index"));
    if (spec != "None" && detail::has_layer_stack(row.at("path")))
      spec = "P(None" + std::string(spec == "P()" ? "" : ", ") + spec.substr(2);
    CHECK(spec == row.at("expected"));
    ++answered;
  }
  CHECK(answered == 122);
  CHECK(refused == 3);
}
