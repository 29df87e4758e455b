// Conversions of Grok-1 to safetensors that people have: the names of hpcai's and of keyfan's, and their config.json.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <filesystem>
#include <string>

#include <tess/io/config_fields.hpp>
#include <tess/io/load_model.hpp>

#include "config_json.hpp"

namespace grok1 {

/// hpcai-tech/grok-1 and keyfan/grok-1-hf: bf16(int8 · scale), [out, in], an expert a tensor.
enum class Conversion { hpcai, keyfan };

/// Whether a folder holds safetensors instead of the official files.
inline bool is_converted(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const char* file : {"model.safetensors", "model.safetensors.index.json"})
    if (std::filesystem::exists(folder / file, ignored)) return true;
  return false;
}

/// Whose conversion it is: the name of the embedding tells. Throws Error where it has neither.
inline Conversion conversion_of(const tess::io::SafetensorsCheckpoint& checkpoint) {
  if (checkpoint.has("model.embed_tokens.weight")) return Conversion::hpcai;
  if (checkpoint.has("transformer.in_out_embed.weight")) return Conversion::keyfan;
  tess::fail(checkpoint.path().string(), ": has neither 'model.embed_tokens.weight', as hpcai's conversion of Grok-1, ",
             "nor 'transformer.in_out_embed.weight', as keyfan's.\n  Is this the checkpoint of another model?");
}

/// The names of a conversion. The head is the embedding; some files hold it twice.
inline tess::io::Names conversion_names(Conversion whose, const LanguageModelConfig& config) {
  using tess::io::out_in;
  const auto& m = config.model;
  const index_t V = config.vocab_size, E = m.emb_size, F = m.ffn_size(), X = m.num_experts,
                Q = m.num_q_heads * m.key_size, KV = m.num_kv_heads * m.key_size;
  const std::string layer = "transformer/decoder_layer_{}/", attention = layer + "multi_head_attention/";
  if (whose == Conversion::hpcai) {
    const std::string theirs = "model.layers.{}.", expert = theirs + "moe_block.experts.{}.";
    return {{"language_model/in_out_embed/embeddings", "model.embed_tokens.weight", {V, E}},
            {layer + "rms_norm/scale", theirs + "pre_attn_norm.scale", {E}},
            {attention + "query/w", theirs + "attn.q_proj.weight", {Q, E}, out_in},
            {attention + "key/w", theirs + "attn.k_proj.weight", {KV, E}, out_in},
            {attention + "value/w", theirs + "attn.v_proj.weight", {KV, E}, out_in},
            {attention + "linear/w", theirs + "attn.o_proj.weight", {E, Q}, out_in},
            {layer + "rms_norm_1/scale", theirs + "post_attn_norm.scale", {E}},
            {layer + "rms_norm_2/scale", theirs + "pre_moe_norm.scale", {E}},
            {layer + "router/w", theirs + "moe_block.gate.weight", {X, E}, out_in},
            {layer + "moe/linear/w", expert + "linear.weight", {X, F, E}, out_in},
            {layer + "moe/linear_v/w", expert + "linear_v.weight", {X, F, E}, out_in},
            {layer + "moe/linear_1/w", expert + "linear_1.weight", {X, E, F}, out_in},
            {layer + "rms_norm_3/scale", theirs + "post_moe_norm.scale", {E}},
            {"language_model/rms_norm/scale", "model.norm.scale", {E}},
            {tess::io::unused, "lm_head.weight"}};
  }
  const std::string theirs = "transformer.decoder_layer.{}.", mha = theirs + "multi_head_attention.";
  return {{"language_model/in_out_embed/embeddings", "transformer.in_out_embed.weight", {V, E}},
          {layer + "rms_norm/scale", theirs + "rms_norm.weight", {E}},
          {attention + "query/w", mha + "query.weight", {Q, E}, out_in},
          {attention + "key/w", mha + "key.weight", {KV, E}, out_in},
          {attention + "value/w", mha + "value.weight", {KV, E}, out_in},
          {attention + "linear/w", mha + "linear.weight", {E, Q}, out_in},
          {layer + "rms_norm_1/scale", theirs + "rms_norm_1.weight", {E}},
          {layer + "rms_norm_2/scale", theirs + "rms_norm_2.weight", {E}},
          {layer + "router/w", theirs + "router.weight", {X, E}, out_in},
          {layer + "moe/linear/w", theirs + "moe.{}.linear.weight", {X, F, E}, out_in},
          {layer + "moe/linear_v/w", theirs + "moe.{}.linear_v.weight", {X, F, E}, out_in},
          {layer + "moe/linear_1/w", theirs + "moe.{}.linear_1.weight", {X, E, F}, out_in},
          {layer + "rms_norm_3/scale", theirs + "rms_norm_3.weight", {E}},
          {"language_model/rms_norm/scale", "transformer.rms_norm.weight", {E}},
          {tess::io::unused, "lm_head.weight"}};
}

/// Fills a model with bf16 weights from the conversion in `folder`. Throws Error for what io::load_model refuses, and
/// for a head that is not the embedding: the model has one table for both.
template <class D, class Model>
void load_conversion(D& dev, Model& model, const std::filesystem::path& folder,
                     const tess::io::Progress& progress = {}) {
  const tess::io::SafetensorsCheckpoint checkpoint(folder);
  const tess::io::Names names = conversion_names(conversion_of(checkpoint), model.config);
  const std::string& table = names.front().tensor;
  if (checkpoint.has("lm_head.weight") &&
      !std::ranges::equal(checkpoint["lm_head.weight"].data, checkpoint[table].data))
    tess::fail(checkpoint.path().string(), ": 'lm_head.weight' differs from '", table, "'.\n  ",
               "Grok-1's head is its embedding; a head of its own is another model's.");
  tess::io::load_model(dev, model, checkpoint, names, progress);
}

/// Whether a config.json has Hugging Face's names of fields, not the reference's.
inline bool is_conversion_config(const std::filesystem::path& path) {
  const auto root = tess::io::Json::read_file(path);
  return root.find("hidden_size") != nullptr;
}

/// The config.json of a conversion. What it does not say (the cap of attention scores, the base of the rotation) is as
/// in Grok-1. Throws Error that names every field that is missing, unknown or not Grok-1's.
inline LanguageModelConfig read_conversion_config(const std::filesystem::path& path) {
  tess::io::ConfigFields f(path);
  LanguageModelConfig c;
  auto& m = c.model;
  c.quantized = false;
  m.shard_activations = true;
  m.num_experts = m.num_selected_experts = c.pad_token = c.eos_token = dyn;  // the file decides
  f.is("tie_word_embeddings", true);
  f("vocab_size", c.vocab_size), f("hidden_size", m.emb_size), f("intermediate_size", m.explicit_ffn_size);
  f("num_hidden_layers", m.num_layers), f("num_attention_heads", m.num_q_heads);
  f("num_key_value_heads", m.num_kv_heads);
  f("head_dim", m.key_size, m.num_q_heads > 0 ? m.emb_size / m.num_q_heads : dyn);
  f({"num_experts", "num_local_experts"}, m.num_experts), f("num_experts_per_tok", m.num_selected_experts);
  f("max_position_embeddings", c.sequence_len, grok_1.sequence_len);
  f("pad_token_id", c.pad_token, grok_1.pad_token), f("eos_token_id", c.eos_token, grok_1.eos_token);
  const auto number = [&f](const char* name, double& field, double otherwise) {
    field = 0;  // open
    f(name, field, otherwise);
  };
  number("attn_output_multiplier", m.attn_output_multiplier, grok_1.model.attn_output_multiplier);
  number("embedding_multiplier_scale", c.embedding_multiplier_scale, grok_1.embedding_multiplier_scale);
  number("output_multiplier_scale", c.output_multiplier_scale, grok_1.output_multiplier_scale);
  number("max_attn_value", m.max_attn_value, grok_1.model.max_attn_value);
  number("rms_norm_eps", m.rms_norm_eps, grok_1.model.rms_norm_eps);
  f.harmless("model_type", "a class of the writer's: grok-1, grok");
  f.harmless("hidden_act", "converters write their default, silu; every Grok-1 has GELU");
  f.harmless("rope_theta", "converters write their default, 100000; every Grok-1 has 10000");
  f.check();
  if (!m.is_moe()) tess::fail(path.string(), ": \"num_experts\" is ", m.num_experts, ", expected at least 2");
  m.vocab_size = c.vocab_size;
  validate(c, path.string());
  return c;
}

}  // namespace grok1
