// Regular expressions of partition rules are of the part of Python's that is read here
// SPDX-License-Identifier: Apache-2.0
// expect: regular expression of this rule is malformed or beyond what is read here
// expect: partition_rule_is_not_understood<counted>
#include <tess/sharding/partition_rules.hpp>

using namespace tess;
struct model;
struct counted {
  static constexpr std::string_view window = "layer_[0-9]{2} w";
  using spec = P<model>;
};
struct repeated {
  static constexpr std::string_view window = "layer_[0-9][0-9] w";
  using spec = P<model>;
};

#ifdef MUST_NOT_COMPILE
constexpr int rule = PartitionRules<counted>::index("layer_12/w");
#else
constexpr int rule = PartitionRules<repeated>::index("layer_12/w");
#endif
