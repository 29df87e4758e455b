// The partition rules of xai-org/grok-1 model.py (lines 110-175), as a table for the compiler.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/nn/key_value_axis.hpp>
#include <tess/sharding/partition_rules.hpp>

namespace grok1 {

using tess::Axes;
using tess::None;
using tess::P;

struct data;  // mesh axes, as the reference calls them
struct model;

namespace rules {

// Each rule is a window of regular expressions over consecutive elements of the path, and the spec of what it matches.
#define GROK1_RULE(name, regexes, ...)                  \
  struct name {                                         \
    static constexpr std::string_view window = regexes; \
    using spec = __VA_ARGS__;                           \
  }

// [quote:rules]
// attention
GROK1_RULE(attention_w, "multi_head_attention (query|key|value) w", P<data, model>);
GROK1_RULE(attention_b, "multi_head_attention (query|key|value) b", P<None>);
GROK1_RULE(attention_out_w, "multi_head_attention linear w", P<model, data>);
GROK1_RULE(attention_out_b, "multi_head_attention linear b", P<None>);
// [/quote]
// dense feed-forward block
GROK1_RULE(mlp_w, "decoder_layer_[0-9]+ linear w", P<data, model>);
GROK1_RULE(mlp_b, "decoder_layer_[0-9]+ linear b", P<None>);
GROK1_RULE(mlp_v_w, "decoder_layer_[0-9]+ linear_v w", P<data, model>);
GROK1_RULE(mlp_v_b, "decoder_layer_[0-9]+ linear_v b", P<None>);
GROK1_RULE(mlp_out_w, "decoder_layer_[0-9]+ linear_1 w", P<model, data>);
GROK1_RULE(mlp_out_b, "decoder_layer_[0-9]+ linear_1 b", P<None>);
// norms
GROK1_RULE(layer_norm_offset, "decoder_layer_[0-9]+ layer_norm offset", P<None>);
GROK1_RULE(layer_norm_scale, "decoder_layer_[0-9]+ layer_norm scale", P<None>);
GROK1_RULE(layer_norm_1_offset, "decoder_layer_[0-9]+ layer_norm_1 offset", P<None>);
GROK1_RULE(layer_norm_1_scale, "decoder_layer_[0-9]+ layer_norm_1 scale", P<None>);
GROK1_RULE(rms_norm, "decoder_layer_[0-9]+ rms_norm scale", P<None>);
GROK1_RULE(rms_norm_1, "decoder_layer_[0-9]+ rms_norm_1 scale", P<None>);
GROK1_RULE(rms_norm_2, "decoder_layer_[0-9]+ rms_norm_2 scale", P<None>);
GROK1_RULE(rms_norm_3, "decoder_layer_[0-9]+ rms_norm_3 scale", P<None>);
// mixture of experts
GROK1_RULE(router, "router w", P<data>);
GROK1_RULE(moe_w, "moe linear w", P<None, data, model>);
GROK1_RULE(moe_b, "moe linear b", P<None>);
GROK1_RULE(moe_v_w, "moe linear_v w", P<None, data, model>);
GROK1_RULE(moe_v_b, "moe linear_v b", P<None>);
GROK1_RULE(moe_out_w, "moe linear_1 w", P<None, model, data>);
GROK1_RULE(moe_out_b, "moe linear_1 b", P<None>);
GROK1_RULE(moe_layer_norm_offset, "moe layer_norm offset", P<None>);
GROK1_RULE(moe_layer_norm_scale, "moe layer_norm scale", P<None>);
GROK1_RULE(moe_layer_norm_1_offset, "moe layer_norm_1 offset", P<None>);
GROK1_RULE(moe_layer_norm_1_scale, "moe layer_norm_1 scale", P<None>);
GROK1_RULE(moe_rms_norm, "moe rms_norm scale", P<None>);
GROK1_RULE(moe_rms_norm_1, "moe rms_norm_1 scale", P<None>);
GROK1_RULE(moe_rms_norm_2, "moe rms_norm_2 scale", P<None>);
GROK1_RULE(moe_rms_norm_3, "moe rms_norm_3 scale", P<None>);
// language model
GROK1_RULE(positional_embeddings, "language_model positional_embeddings", P<None, Axes<data, model>>);
GROK1_RULE(in_out_embed, "language_model in_out_embed embeddings", P<None, Axes<data, model>>);
GROK1_RULE(final_norm, "language_model rms_norm", P<None>);
#undef GROK1_RULE

}  // namespace rules

using TRANSFORMER_PARTITION_RULES =
    tess::PartitionRules<rules::attention_w, rules::attention_b, rules::attention_out_w, rules::attention_out_b,
                         rules::mlp_w, rules::mlp_b, rules::mlp_v_w, rules::mlp_v_b, rules::mlp_out_w, rules::mlp_out_b,
                         rules::layer_norm_offset, rules::layer_norm_scale, rules::layer_norm_1_offset,
                         rules::layer_norm_1_scale, rules::rms_norm, rules::rms_norm_1, rules::rms_norm_2,
                         rules::rms_norm_3, rules::router, rules::moe_w, rules::moe_b, rules::moe_v_w, rules::moe_v_b,
                         rules::moe_out_w, rules::moe_out_b, rules::moe_layer_norm_offset, rules::moe_layer_norm_scale,
                         rules::moe_layer_norm_1_offset, rules::moe_layer_norm_1_scale, rules::moe_rms_norm,
                         rules::moe_rms_norm_1, rules::moe_rms_norm_2, rules::moe_rms_norm_3>;

using LM_PARTITION_RULES = tess::PartitionRules<rules::positional_embeddings, rules::in_out_embed, rules::final_norm>;

/// What LanguageModelConfig.partition_rules() returns.
using PARTITION_RULES = tess::joined_rules_t<LM_PARTITION_RULES, TRANSFORMER_PARTITION_RULES>;

namespace rules {
template <class KeyValue>
struct key_value_w {
  static constexpr std::string_view window = "multi_head_attention (key|value) w";
  using spec = P<data, KeyValue>;
};
}  // namespace rules

/// The same with key and value heads over KeyValue instead of `model`, for meshes with more devices along `model` than
/// there are such heads: KeyValue is the major part of the axis. The first rule that matches wins.
template <class KeyValue>
struct rules_with_heads_over {
  using type = tess::joined_rules_t<tess::PartitionRules<rules::key_value_w<KeyValue>>, PARTITION_RULES>;
};
template <>
struct rules_with_heads_over<model> {
  using type = PARTITION_RULES;
};

/// Where the key and value heads of a model lie: `model`, or the part of it that they divide over.
template <class M, tess::index_t Heads>
using key_value_axis = tess::nn::key_value_axis<M, model, Heads>;

}  // namespace grok1
