// Partition rules give every parameter its spec by its path, at compile time.
// SPDX-License-Identifier: Apache-2.0
#include <tess/sharding/partition_rules.hpp>

#include <concepts>

namespace {

using namespace tess;
struct data;
struct model;

#define RULE(name, regexes, ...)                        \
  struct name {                                         \
    static constexpr std::string_view window = regexes; \
    using spec = __VA_ARGS__;                           \
  }
#define PATH(name, string)                           \
  struct name {                                      \
    static constexpr std::string_view text = string; \
  }
RULE(attention, "multi_head_attention (query|key|value) w", P<data, model>);
RULE(numbered, "layer_[0-9]+ linear w", P<model, data>);
RULE(any_weight, ".* w", P<data>);
RULE(any_scale, "scale", P<>);
using Rules = PartitionRules<attention, numbered, any_weight, any_scale>;

// A rule is a window over consecutive elements, anywhere in the path.
static_assert(Rules::index("transformer/layer_3/multi_head_attention/query/w") == 0);
static_assert(Rules::index("multi_head_attention/key/w") == 0);
static_assert(Rules::index("multi_head_attention/x/key/w") == 2);

// The first rule that matches decides, however general the later ones are.
static_assert(Rules::index("layer_12/linear/w") == 1 && Rules::index("layer_x/linear/w") == 2);
using Reversed = PartitionRules<any_weight, numbered>;
static_assert(Reversed::index("layer_12/linear/w") == 0);

// A path without a rule has none.
static_assert(Rules::index("layer_0/linear/b") == -1 && Rules::index("") == -1);

// Elements match whole: from their beginning, and to their end.
static_assert(Rules::index("my_layer_1/linear/w") == 2 && Rules::index("norm/scales") == -1);

// As in the reference, "a|b" anchors only `b` at its end; "(a|b)" anchors both.
static_assert(Rules::window_matches("query|key w", "query_norm/w") &&
              !Rules::window_matches("query|key w", "key_norm/w"));
static_assert(!Rules::window_matches("(query|key) w", "query_norm/w"));

// The spec of a path is a type.
PATH(query, "transformer/layer_0/multi_head_attention/query/w");
PATH(linear, "transformer/layer_0/linear/w");
PATH(norm, "transformer/layer_0/norm/scale");
static_assert(std::same_as<spec_for<Rules, query>, P<data, model>>);
static_assert(std::same_as<spec_for<Rules, linear>, P<model, data>>);
static_assert(std::same_as<spec_for<Rules, norm>, P<>>);

// Parameters of stacked layers have a leading dimension, which is not sharded.
PATH(stacked, "layer_stack/layer_0/linear/w");
static_assert(std::same_as<spec_for<Rules, stacked>, P<None, model, data>>);

// Tables are joined in order.
using Joined = joined_rules_t<PartitionRules<any_scale>, Rules>;
static_assert(Joined::size == 5 && Joined::index("scale") == 0 && Joined::index("layer_0/linear/w") == 2);

}  // namespace
