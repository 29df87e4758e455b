// Qwen2-MoE: biases of queries, keys and values; routed experts beside a shared one behind a gate of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../hf/qwen_moe.hpp"

namespace hf {

/// Qwen2MoeForCausalLM. Source: Yang et al., arXiv 2407.10671; transformers, models/qwen2_moe.
struct Qwen2Moe {
  struct Config : QwenMoeConfig {
    index_t shared_ffn = dyn;

    void read(io::ConfigFields& f) {
      read_qwen_moe(f);
      f.is("model_type", "qwen2_moe"), f.is("qkv_bias", true);
      f("shared_expert_intermediate_size", shared_ffn);
    }
  };

  /// The types for one configuration (`C::value`), mesh, device and element type of the matrices.
  template <class C, AnyMesh M, class D, class Weight = bf16>
  struct Types {
    using At = Place<M, D, Weight>;
    static constexpr Config c = C::value;
    static constexpr index_t H = c.hidden;

    using Attention = tp::BiasedAttention<At, H, c.heads, c.kv_heads, c.width>;
    using MoE =
        nn::MoELayer<nn::Router<tp::RouterWeight<At, H, c.experts>>, tp::Experts<At, c.experts, H, c.expert_ffn>>;
    using Shared = nn::Gated<tp::Whole<At, H, 1>, tp::Dense<At, H, c.shared_ffn>>;
    using Sparse = nn::Parallel<MoE, Shared>;
    using Layer = nn::DecoderLayer<tp::Norm<At, H>, Attention, nn::Either<tp::Dense<At, H, c.ffn>, Sparse>>;
    using Model = tp::LM<At, c.vocabulary, H, c.layers, Layer, tp::Cache<At, c.kv_heads, c.width>>;
  };

  template <class Model>
  static void set(Model& lm, const Config& c) {
    set_qwen_moe(
        lm, c, [](auto& sparse) -> auto& { return std::get<0>(sparse.layers); });
  }

  static io::Names names(const Config& c) {
    const std::string ours = "layers_{}/feed_forward/1/", theirs = "model.layers.{}.mlp.";
    return joined({qwen_moe_names(c, "0/"),
                   attention_bias_names(c, false),
                   {{ours + "gate/w", theirs + "shared_expert_gate.weight", {1, c.hidden}, io::out_in}},
                   feed_forward_names(ours + "layer/", theirs + "shared_expert.", {"gate_proj", "up_proj", "down_proj"},
                                      c.hidden, c.shared_ffn)});
  }
};

}  // namespace hf
