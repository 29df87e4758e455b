// Chapter 4, specs by path: which rule decides a parameter, as xai-org/grok-1's apply_rules answers 125 questions.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include <tess/sharding/partition_rules.hpp>

#include "support/csv.hpp"
#include "support/summary.hpp"

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

std::map<std::string, std::vector<Rule>> rule_lists() {
  std::map<std::string, std::vector<Rule>> lists;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/match_rule_lists.csv"))
    lists[row.at("list")].push_back({window_of(row.at("window")), row.at("spec")});
  return lists;
}

constexpr auto matches = PartitionRules<>::window_matches;

}  // namespace

TEST_CASE("the first rule whose window matches decides, as in the reference: all 125 questions to 32 tables") {
  const auto lists = rule_lists();
  long answered = 0, same = 0;
  for (const auto& row : support::read_csv(TESS_SHARDING_DATA "/match_rules.csv")) {
    CAPTURE(row.at("list"));
    CAPTURE(row.at("path"));
    CAPTURE(row.at("shows"));
    const auto& rules = lists.at(row.at("list"));
    std::string decided, spec = "None";
    for (std::size_t i = 0; i < rules.size() && decided.empty(); ++i)
      if (matches(rules[i].window, row.at("path"))) decided = std::to_string(i), spec = rules[i].spec;
    CHECK(decided == row.at("rule_index"));
    if (spec != "None" && detail::has_layer_stack(row.at("path")))
      spec = "P(None" + std::string(spec == "P()" ? "" : ", ") + spec.substr(2);
    CHECK(spec == row.at("expected"));
    same += decided == row.at("rule_index") && spec == row.at("expected"), ++answered;
  }
  CHECK(answered == 125);
  support::report_rows("match_rules.csv", answered, same, 0, 0, answered - same);
  CHECK(lists.size() == 32);
}

TEST_CASE("every regular expression of those tables is understood") {
  for (const auto& [name, rules] : rule_lists())
    for (const Rule& rule : rules) CHECK(detail::all_of_list(rule.window, ' ', detail::Regex::understands));
}

TEST_CASE("a window lies anywhere in the path, over elements side by side") {
  CHECK(matches("linear w", "decoder/layer_0/linear/w"));
  CHECK(!matches("layer_0 w", "decoder/layer_0/linear/w"));
  CHECK(!matches("linear w", "linear"));
}

// [quote:trap]
TEST_CASE("an element matches to its end, but only the last alternative says so: the reference's trap") {
  CHECK(!matches("linear w", "linear_1/w"));
  CHECK(matches("query|key w", "query_norm/w"));  // "query|key" + "$" anchors `key` alone
  CHECK(!matches("query|key w", "key_norm/w"));
  CHECK(!matches("(query|key) w", "query_norm/w"));
}
// [/quote]

TEST_CASE("what Python's regular expressions can do beyond that is refused, not misread") {
  for (const char* pattern :
       {"a{2}", "\\ba", "(a)\\1", "(?<=a)b", "(?P<n>a)", "a++", "(a", "a)", "[a", "*a", "a|+", "\\"})
    CHECK_MESSAGE(!detail::Regex::understands(pattern), pattern);
  for (const char* pattern : {"", "a|b", "(?i)Linear", "linear(?!_v)", "(?:ab)+?", "[^]a-c]*", "\\d\\W\\.", "x|"})
    CHECK_MESSAGE(detail::Regex::understands(pattern), pattern);
}
