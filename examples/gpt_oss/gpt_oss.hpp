// GPT-OSS: attention with sinks, every other layer in a window, and experts with biases and a clamped gate.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../hf/decoder.hpp"
#include "../hf/rope.hpp"
#include "../hf/sliding_window.hpp"

namespace hf {

/// GptOssForCausalLM. Source: OpenAI, arXiv 2508.10925; transformers, models/gpt_oss.
struct GptOss {
  struct Config : DecoderConfig {
    index_t ffn = dyn, experts = dyn, chosen = dyn;
    f64 limit = 0, alpha = 0;  // of the experts' gates
    Rope positions{};
    SlidingWindow window{};

    void read(io::ConfigFields& f) {
      read_decoder(f), read_rope(f, positions), window.read(f, layers);
      f.is("model_type", "gpt_oss"), f.is("hidden_act", "silu"), f.is("attention_bias", true);
      read_width(f), f("intermediate_size", ffn), read_count(f, "num_local_experts", experts);
      f({"num_experts_per_tok", "experts_per_token"}, chosen);
      f("swiglu_limit", limit, 7.0), f("swiglu_alpha", alpha, 1.702);
    }
  };

  /// The types for one configuration (`C::value`), mesh, device and element type of the matrices.
  template <class C, AnyMesh M, class D, class Weight = bf16>
  struct Types {
    using At = Place<M, D, Weight>;
    static constexpr Config c = C::value;
    static constexpr index_t H = c.hidden, E = c.experts;

    using Attention =
        tp::BiasedAttention<At, H, c.heads, c.kv_heads, c.width, tp::Bias<At, H>, tp::ColumnBias<At, c.heads>>;
    using Router = nn::Router<tp::RouterWeight<At, H, E>, nn::TopKSoftmax, tp::Bias<At, E>>;
    using MoE = nn::MoELayer<Router, tp::BiasedExperts<At, E, H, c.ffn, nn::ClampedSwiGLU>>;
    using Layer = nn::DecoderLayer<tp::Norm<At, H>, Attention, MoE>;
    using Model = tp::LM<At, c.vocabulary, H, c.layers, Layer, tp::Cache<At, c.kv_heads, c.width>>;
  };

  template <class Model>
  static void set(Model& lm, const Config& c) {
    set_decoder(lm, c);
    for (std::size_t i = 0; i < lm.layers.blocks.size(); ++i) {
      auto& [attention_norm, attention, feed_forward_norm, moe] = lm.layers.blocks[i];
      attention.rotary = {c.positions.options}, attention.rotary.base = c.rope_base;
      attention.options.window = c.window.of(i);
      moe.expert_count = c.experts, moe.router.selected = c.chosen;
      moe.experts.activation = {static_cast<f32>(c.limit), static_cast<f32>(c.alpha)};
    }
  }

  // [quote:names]
  static io::Names names(const Config& c) {
    const index_t h = c.hidden, e = c.experts, f = c.ffn;
    const std::string ours = "layers_{}/", theirs = "model.layers.{}.", router = ours + "feed_forward/router/",
                      experts = ours + "feed_forward/experts/", gate_up = theirs + "mlp.experts.gate_up_proj";
    return joined({decoder_names(c),
                   attention_bias_names(c, true),
                   {{ours + "attention/sinks", theirs + "self_attn.sinks", {c.heads}},
                    {router + "w", theirs + "mlp.router.weight", {e, h}, io::out_in},
                    {router + "b", theirs + "mlp.router.bias", {e}},
                    {experts + "gate/w", gate_up, {e, h, 2 * f}, io::columns(0, 2)},
                    {experts + "gate/b", gate_up + "_bias", {e, 2 * f}, io::columns(0, 2)},
                    {experts + "up/w", gate_up, {e, h, 2 * f}, io::columns(1, 2)},
                    {experts + "up/b", gate_up + "_bias", {e, 2 * f}, io::columns(1, 2)},
                    {experts + "down/w", theirs + "mlp.experts.down_proj", {e, f, h}},
                    {experts + "down/b", theirs + "mlp.experts.down_proj_bias", {e, h}}}});
  }
  // [/quote]
};

}  // namespace hf
