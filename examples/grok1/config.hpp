// The reference's configurations as structural constants: Grok-1 itself, the tiny trained model, and a medium one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <string_view>

#include <tess/core/types.hpp>

namespace grok1 {

using tess::dyn;
using tess::index_t;

/// A short text inside a structural type: characters, no pointer.
struct Name {
  char text[32] = {};

  constexpr Name() = default;
  template <std::size_t N>
  requires(N <= 32) constexpr Name(const char (&s)[N]) {  // NOLINT(google-explicit-constructor): written as a literal
    std::copy(s, s + N, text);
  }
  constexpr std::string_view view() const { return text; }
  friend constexpr bool operator==(const Name&, const Name&) = default;
};

enum class FpropDtype { bfloat16, float32 };

/// Hidden width of the feed-forward blocks: two thirds of the widened embedding, rounded up to a multiple of 8.
constexpr index_t ffn_size(index_t emb_size, double widening_factor) {
  const index_t size = static_cast<index_t>(widening_factor * static_cast<double>(emb_size)) * 2 / 3;
  return size + ((8 - size) % 8 + 8) % 8;
}

/// `TransformerConfig` of xai-org/grok-1 model.py, its fields and defaults; sizes may be `dyn` (known at run time).
/// The last four fields are constants inside the reference's code.
struct TransformerConfig {
  index_t emb_size = dyn;
  index_t key_size = dyn;  // of one head
  index_t num_q_heads = dyn;
  index_t num_kv_heads = dyn;
  index_t num_layers = dyn;
  index_t vocab_size = 131072;
  double widening_factor = 4.0;
  double attn_output_multiplier = 1.0;
  Name name = {};
  index_t num_experts = -1;  // <= 1: one dense feed-forward block without a router. Never `dyn`
  double capacity_factor = 1.0;
  index_t num_selected_experts = 1;
  double init_scale = 1.0;
  bool shard_activations = false;
  Name data_axis = "data";
  Name model_axis = "model";

  index_t explicit_ffn_size = dyn;  // dyn: derived from widening_factor
  double max_attn_value = 30.0;     // attention logits are capped: 30 tanh(x / 30)
  index_t rope_base = 10000;
  double rms_norm_eps = 1e-5;

  constexpr bool is_moe() const { return num_experts > 1; }
  constexpr index_t ffn_size() const {
    if (explicit_ffn_size != dyn) return explicit_ffn_size;
    return emb_size == dyn ? dyn : grok1::ffn_size(emb_size, widening_factor);
  }
  friend constexpr bool operator==(const TransformerConfig&, const TransformerConfig&) = default;
};

/// `LanguageModelConfig` of xai-org/grok-1 model.py, its fields and defaults. The last two describe the checkpoint.
struct LanguageModelConfig {
  TransformerConfig model;
  index_t vocab_size = dyn;
  index_t pad_token = 0;
  index_t eos_token = 2;
  index_t sequence_len = dyn;
  index_t model_size = 0;  // 0: model.emb_size
  double embedding_init_scale = 1.0;
  double embedding_multiplier_scale = 1.0;
  double output_multiplier_scale = 1.0;
  Name name = {};
  FpropDtype fprop_dtype = FpropDtype::bfloat16;
  Name model_type = {};
  double init_scale_override = 0;  // 0: none (the reference refuses any other)
  bool shard_embeddings = true;

  bool quantized = true;     // linear weights in the checkpoint: int8 with bf16 scales; otherwise f32
  index_t scale_groups = 8;  // of the row-parallel weights (attention's and feed-forward's output); the others have 1

  friend constexpr bool operator==(const LanguageModelConfig&, const LanguageModelConfig&) = default;
};

/// The released model: 314 billion parameters (run.py of xai-org/grok-1).
inline constexpr LanguageModelConfig grok_1{.model = {.emb_size = 6144,
                                                      .key_size = 128,
                                                      .num_q_heads = 48,
                                                      .num_kv_heads = 8,
                                                      .num_layers = 64,
                                                      .widening_factor = 8,
                                                      .attn_output_multiplier = 0.08838834764831845,
                                                      .num_experts = 8,
                                                      .num_selected_experts = 2,
                                                      .shard_activations = true},
                                            .vocab_size = 131072,
                                            .sequence_len = 8192,
                                            .embedding_multiplier_scale = 78.38367176906169,
                                            .output_multiplier_scale = 0.5773502691896257,
                                            .name = "grok-1"};

/// The trained model of 3.7 million parameters in examples/grok1/tiny.
inline constexpr LanguageModelConfig tiny{.model = {.emb_size = 128,
                                                    .key_size = 16,
                                                    .num_q_heads = 16,
                                                    .num_kv_heads = 8,
                                                    .num_layers = 4,
                                                    .vocab_size = 1024,
                                                    .widening_factor = 3,
                                                    .attn_output_multiplier = 0.25,
                                                    .num_experts = 8,
                                                    .num_selected_experts = 2,
                                                    .shard_activations = true},
                                          .vocab_size = 1024,
                                          .sequence_len = 512,
                                          .embedding_multiplier_scale = 11.33,
                                          .output_multiplier_scale = 0.5773502691896257,
                                          .name = "tiny-grok"};

/// For measurements with dummy weights: about 2 GB in int8.
inline constexpr LanguageModelConfig medium{.model = {.emb_size = 2048,
                                                      .key_size = 128,
                                                      .num_q_heads = 16,
                                                      .num_kv_heads = 4,
                                                      .num_layers = 8,
                                                      .widening_factor = 3,  // ffn 4096
                                                      .attn_output_multiplier = 0.08838834764831845,
                                                      .num_experts = 8,
                                                      .num_selected_experts = 2,
                                                      .shard_activations = true},
                                            .vocab_size = 131072,
                                            .sequence_len = 8192,
                                            .embedding_multiplier_scale = 45.254833995939045,
                                            .output_multiplier_scale = 0.5773502691896257,
                                            .name = "medium"};

/// Calls `f(name, field)` for every field that describes a model, by the reference's names; `Config` may be const.
template <class Config, class F>
constexpr void for_each_field(Config& c, F&& f) {
  f("emb_size", c.model.emb_size);
  f("key_size", c.model.key_size);
  f("num_q_heads", c.model.num_q_heads);
  f("num_kv_heads", c.model.num_kv_heads);
  f("num_layers", c.model.num_layers);
  f("num_experts", c.model.num_experts);
  f("num_selected_experts", c.model.num_selected_experts);
  f("vocab_size", c.vocab_size);
  f("sequence_len", c.sequence_len);
  f("pad_token", c.pad_token);
  f("eos_token", c.eos_token);
  f("attn_output_multiplier", c.model.attn_output_multiplier);
  f("embedding_multiplier_scale", c.embedding_multiplier_scale);
  f("output_multiplier_scale", c.output_multiplier_scale);
  f("max_attn_value", c.model.max_attn_value);
  f("rope_base", c.model.rope_base);
  f("rms_norm_eps", c.model.rms_norm_eps);
}

}  // namespace grok1
