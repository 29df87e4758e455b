// Mixtral: grouped-query attention and a mixture of SwiGLU experts, weighed by the softmax over the chosen ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../hf/decoder.hpp"

namespace hf {

/// MixtralForCausalLM. Source: Jiang et al., arXiv 2401.04088; transformers, models/mixtral.
struct Mixtral {
  // [quote:config]
  struct Config : DecoderConfig {
    index_t ffn = dyn, experts = dyn, chosen = dyn, window = dyn;

    void read(io::ConfigFields& f) {
      read_decoder(f);
      f.is("model_type", "mixtral"), f.is("hidden_act", "silu"), f.is("rope_parameters.rope_type", "default");
      read_width(f), f("intermediate_size", ffn), f("sliding_window", window, 0);
      read_count(f, "num_local_experts", experts), f("num_experts_per_tok", chosen);
    }
  };
  // [/quote]

  // [quote:types]
  /// The types for one configuration (`C::value`), mesh, device and element type of the matrices.
  template <class C, AnyMesh M, class D, class Weight = bf16>
  struct Types {
    using At = Place<M, D, Weight>;
    static constexpr Config c = C::value;
    static constexpr index_t H = c.hidden;

    using Attention = tp::Attention<At, H, c.heads, c.kv_heads, c.width>;
    using Router = nn::Router<tp::RouterWeight<At, H, c.experts>, nn::SoftmaxTopK<true>>;
    using MoE = nn::MoELayer<Router, tp::Experts<At, c.experts, H, c.ffn>>;
    using Layer = nn::DecoderLayer<tp::Norm<At, H>, Attention, MoE>;
    using Model = tp::LM<At, c.vocabulary, H, c.layers, Layer, tp::Cache<At, c.kv_heads, c.width>>;
  };
  // [/quote]

  template <class Model>
  static void set(Model& lm, const Config& c) {
    set_decoder(lm, c);
    for (auto& layer : lm.layers.blocks) {
      layer.attention.options.window = c.window;
      layer.feed_forward.expert_count = c.experts;
      layer.feed_forward.router.selected = c.chosen;
    }
  }

  // [quote:names]
  static io::Names names(const Config& c) {
    const std::string ours = "layers_{}/feed_forward/", theirs = "model.layers.{}.block_sparse_moe.";
    return joined({decoder_names(c),
                   {{ours + "router/w", theirs + "gate.weight", {c.experts, c.hidden}, io::out_in}},
                   feed_forward_names(ours + "experts/", theirs + "experts.{}.", {"w1", "w3", "w2"}, c.hidden, c.ffn,
                                      c.experts)});
  }
  // [/quote]
};

}  // namespace hf
