// Every parameter has a partition rule
// SPDX-License-Identifier: Apache-2.0
// expect: no partition rule matches
// expect: no_partition_rule_matches<misspelt, (Rules|.*PartitionRules<attention> *)>
#include <tess/sharding/partition_rules.hpp>

using namespace tess;
struct data;
struct model;
struct attention {
  static constexpr std::string_view window = "multi_head_attention (query|key|value) w";
  using spec = P<data, model>;
};
struct misspelt {
  static constexpr std::string_view text = "layer_0/multi_head_attention/querry/w";
};
struct spelt {
  static constexpr std::string_view text = "layer_0/multi_head_attention/query/w";
};
using Rules = PartitionRules<attention>;

#ifdef MUST_NOT_COMPILE
using spec_of_query = spec_for<Rules, misspelt>;
#else
using spec_of_query = spec_for<Rules, spelt>;
#endif
