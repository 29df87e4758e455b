// The configurations as constants: the reference's defaults, its official sizes, the feed-forward width.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#include "grok1/config.hpp"

using namespace grok1;

// ffn_size(emb, widening) as Python computes it: int(widening * emb) * 2 // 3, up to the next multiple of 8.
static_assert(ffn_size(6144, 8) == 32768);
static_assert(ffn_size(32, 8) == 176);  // 170 + 6
static_assert(ffn_size(64, 8) == 344);  // 341 + 3
static_assert(ffn_size(96, 8) == 512);
static_assert(ffn_size(128, 3) == 256);
static_assert(ffn_size(48, 6) == 192);
static_assert(ffn_size(10, 4.0) == 32);  // 26 + 6
static_assert(ffn_size(12, 1.0) == 8);
static_assert(ffn_size(100, 0.155) == 16);  // int(15.5) = 15, not 16

// The defaults of the dataclasses.
static_assert(TransformerConfig{}.vocab_size == 131072 && TransformerConfig{}.widening_factor == 4.0);
static_assert(TransformerConfig{}.num_experts == -1 && !TransformerConfig{}.is_moe());
static_assert(TransformerConfig{}.data_axis.view() == "data" && TransformerConfig{}.model_axis.view() == "model");
static_assert(LanguageModelConfig{}.fprop_dtype == FpropDtype::bfloat16 && LanguageModelConfig{}.shard_embeddings);
static_assert(!TransformerConfig{.num_experts = 1}.is_moe() && TransformerConfig{.num_experts = 2}.is_moe());

// run.py
static_assert(grok_1.model.emb_size == 6144 && grok_1.model.num_layers == 64 && grok_1.model.ffn_size() == 32768);
static_assert(grok_1.model.num_q_heads == 48 && grok_1.model.num_kv_heads == 8 && grok_1.model.key_size == 128);
static_assert(medium.model.ffn_size() == 4096 && tiny.model.ffn_size() == 256);

// Usable as a member constant, and changed field by field.
struct Program {
  static constexpr LanguageModelConfig config = [] {
    auto c = grok_1;
    c.model.num_layers = 2;
    c.model.explicit_ffn_size = 1024;
    return c;
  }();
};
static_assert(Program::config.model.ffn_size() == 1024 && Program::config != grok_1);
static_assert(TransformerConfig{}.ffn_size() == dyn);  // unknown as long as emb_size is

// A template argument, where the compiler takes floating-point ones (clang from version 18).
#ifndef __clang__
template <LanguageModelConfig C>
struct Model {};
static_assert(!std::is_same_v<Model<grok_1>, Model<tiny>>);
#endif

TEST_CASE("for_each_field visits every size once, by the reference's names") {
  std::string names;
  for_each_field(grok_1, [&](std::string_view name, auto) { names += std::string(name) + ' '; });
  CHECK(
      names ==
      "emb_size key_size num_q_heads num_kv_heads num_layers num_experts num_selected_experts vocab_size sequence_len "
      "pad_token eos_token attn_output_multiplier embedding_multiplier_scale output_multiplier_scale max_attn_value "
      "rope_base rms_norm_eps ");
}
