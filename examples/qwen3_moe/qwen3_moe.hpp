// Qwen3-MoE: norms of queries and keys, a mixture of SwiGLU experts, and dense layers where config.json wants them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../hf/qwen_moe.hpp"

namespace hf {

/// Qwen3MoeForCausalLM. Source: Qwen Team, arXiv 2505.09388; transformers, models/qwen3_moe.
struct Qwen3Moe {
  struct Config : QwenMoeConfig {
    void read(io::ConfigFields& f) {
      read_qwen_moe(f);
      f.is("model_type", "qwen3_moe"), f.is("attention_bias", false), f.is("qkv_bias", false);
      f.is("use_qk_norm", true), f.is("shared_expert_intermediate_size", index_t{0});  // in Qwen3-Coder's files
    }
  };

  /// The types for one configuration (`C::value`), mesh, device and element type of the matrices.
  template <class C, AnyMesh M, class D, class Weight = bf16>
  struct Types {
    using At = Place<M, D, Weight>;
    static constexpr Config c = C::value;
    static constexpr index_t H = c.hidden;

    using Attention = tp::Attention<At, H, c.heads, c.kv_heads, c.width, tp::Norm<At, c.width>>;
    using MoE =
        nn::MoELayer<nn::Router<tp::RouterWeight<At, H, c.experts>>, tp::Experts<At, c.experts, H, c.expert_ffn>>;
    using Layer = nn::DecoderLayer<tp::Norm<At, H>, Attention, nn::Either<tp::Dense<At, H, c.ffn>, MoE>>;
    using Model = tp::LM<At, c.vocabulary, H, c.layers, Layer, tp::Cache<At, c.kv_heads, c.width>>;
  };

  template <class Model>
  static void set(Model& lm, const Config& c) {
    set_qwen_moe(
        lm, c, [](auto& moe) -> auto& { return moe; });
    for (auto& layer : lm.layers.blocks)
      layer.attention.query_norm.eps = layer.attention.key_norm.eps = static_cast<f32>(c.eps);
  }

  static io::Names names(const Config& c) {
    const std::string ours = "layers_{}/attention/", theirs = "model.layers.{}.self_attn.";
    return joined({qwen_moe_names(c, ""),
                   {{ours + "query_norm/scale", theirs + "q_norm.weight", {c.width}},
                    {ours + "key_norm/scale", theirs + "k_norm.weight", {c.width}}}});
  }
};

}  // namespace hf
