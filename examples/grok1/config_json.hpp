// Reads config.json into a LanguageModelConfig and checks it: one clear error for each thing that can be wrong with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <tess/core/error.hpp>
#include <tess/io/json.hpp>

#include "config.hpp"

namespace grok1 {

/// A config.json: the model and, where it names them, its files (paths relative to config.json are resolved).
struct ConfigFile {
  LanguageModelConfig config;
  std::filesystem::path checkpoint, tokenizer;  // empty: not named
};

namespace detail {

/// "32", "0.25", "1e-05"
inline std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, std::abs(x) < 1e15 ? "%.15g" : "%.3g", x);
  return text;
}

}  // namespace detail

/// Throws if a size is missing (`dyn`), not positive, absurd, or does not fit another; `file` begins the message.
inline void validate(const LanguageModelConfig& config, std::string_view file) {
  const auto& m = config.model;
  const auto refuse = [&](std::string_view field, double value, const auto&... why) {
    tess::fail(file, ": \"", field, "\" is ", detail::number(value), ", but ", why...);
  };
  const auto size = [&](std::string_view field, index_t value, index_t most) {
    if (value < 1 || value > most) refuse(field, static_cast<double>(value), "must be from 1 to ", most);
  };
  const auto positive = [&](std::string_view field, double value) {
    if (!(value > 0 && value < 1e30)) refuse(field, value, "must be a positive number");
  };
  size("emb_size", m.emb_size, 1 << 20);
  size("key_size", m.key_size, 1 << 14);
  size("num_kv_heads", m.num_kv_heads, 1 << 14);
  size("num_q_heads", m.num_q_heads, 1 << 14);
  size("num_layers", m.num_layers, 1 << 14);
  size("vocab_size", config.vocab_size, 1 << 24);
  size("sequence_len", config.sequence_len, 1 << 24);
  size("scale_groups", config.scale_groups, 1 << 14);
  size("rope_base", m.rope_base, index_t{1} << 40);
  if (m.explicit_ffn_size != dyn) size("ffn_size", m.explicit_ffn_size, 1 << 24);
  else if (!(m.widening_factor > 0 && m.widening_factor <= 1024))
    refuse("widening_factor", m.widening_factor, "must be above 0, at most 1024");
  size("ffn_size", m.ffn_size(), 1 << 24);
  if (m.key_size % 2 != 0)
    refuse("key_size", static_cast<double>(m.key_size), "must be even: rotary embedding turns pairs");
  if (m.num_q_heads % m.num_kv_heads != 0)
    refuse("num_q_heads", static_cast<double>(m.num_q_heads), "must be a multiple of \"num_kv_heads\", ",
           m.num_kv_heads);
  if (m.num_experts > 1 << 14) refuse("num_experts", static_cast<double>(m.num_experts), "must be at most ", 1 << 14);
  if (m.num_experts < -1)
    refuse("num_experts", static_cast<double>(m.num_experts), "must be at least 1 (or -1: dense)");
  if (m.is_moe()) size("num_selected_experts", m.num_selected_experts, m.num_experts);
  if (m.vocab_size != config.vocab_size)
    refuse("vocab_size", static_cast<double>(config.vocab_size), "the transformer's is ", m.vocab_size);
  if (config.model_size != 0 && config.model_size != m.emb_size)
    refuse("model_size", static_cast<double>(config.model_size), "must be 0 or \"emb_size\", ", m.emb_size);
  const auto token = [&](std::string_view field, index_t id) {
    if (id < 0 || id >= config.vocab_size)
      refuse(field, static_cast<double>(id), "must be a token: from 0 to ", config.vocab_size - 1);
  };
  token("pad_token", config.pad_token);
  token("eos_token", config.eos_token);
  positive("attn_output_multiplier", m.attn_output_multiplier);
  positive("embedding_multiplier_scale", config.embedding_multiplier_scale);
  positive("output_multiplier_scale", config.output_multiplier_scale);
  positive("max_attn_value", m.max_attn_value);
  positive("rms_norm_eps", m.rms_norm_eps);
  if (config.quantized) {  // every group of rows has the same length
    if (m.ffn_size() % config.scale_groups != 0)
      refuse("scale_groups", static_cast<double>(config.scale_groups), "must divide ffn_size, ", m.ffn_size());
    if (m.num_q_heads * m.key_size % config.scale_groups != 0)
      refuse("scale_groups", static_cast<double>(config.scale_groups), "must divide num_q_heads × key_size, ",
             m.num_q_heads * m.key_size);
  }
  const double weights = 3.0 * static_cast<double>(m.emb_size) * static_cast<double>(m.ffn_size()) *
                         static_cast<double>(std::max<index_t>(m.num_experts, 1)) * static_cast<double>(m.num_layers);
  if (weights > 1e15)
    tess::fail(file, ": the sizes amount to ", detail::number(weights / 1e12), " million million weights");
}

/// Reads a model's config.json: fields by the reference's names, either at the top or inside "config". Required are all
/// that decide the result; max_attn_value, rope_base, rms_norm_eps and scale_groups have the reference's values unless
/// given; of widening_factor and ffn_size one is enough. Unknown fields are ignored.
inline ConfigFile read_config(const std::filesystem::path& path) {
  const auto root = tess::io::Json::read_file(path);
  const auto* inner = root.find("config");
  const auto& json = inner ? *inner : root;
  const std::string file = path.string();

  ConfigFile out;
  auto& config = out.config;
  const auto read = [&](std::string_view name, auto& field) {
    using Field = std::remove_reference_t<decltype(field)>;
    const auto& value = json.at(name);
    try {
      if constexpr (std::is_same_v<Field, bool>) field = value.boolean();
      else if constexpr (std::is_floating_point_v<Field>) field = value.number();
      else if constexpr (std::is_same_v<Field, std::filesystem::path>) field = path.parent_path() / value.string();
      else field = static_cast<index_t>(value.integer());
    } catch (const tess::Error& error) {
      tess::fail(error.what(), "\n  This is the field \"", name, "\".");
    }
  };
  const auto read_optional = [&](std::string_view name, auto& field) {
    if (json.find(name)) read(name, field);
  };
  for_each_field(config, [&](std::string_view name, auto& field) {
    if (name == "max_attn_value" || name == "rope_base" || name == "rms_norm_eps") read_optional(name, field);
    else read(name, field);
  });
  config.model.vocab_size = config.vocab_size;
  read_optional("scale_groups", config.scale_groups);
  read_optional("model_size", config.model_size);
  read_optional("embedding_init_scale", config.embedding_init_scale);
  read_optional("shard_activations", config.model.shard_activations);
  read_optional("widening_factor", config.model.widening_factor);
  read_optional("ffn_size", config.model.explicit_ffn_size);
  if (!json.find("ffn_size")) (void)json.at("widening_factor");  // throws if there is none either
  read_optional("checkpoint", out.checkpoint);
  read_optional("tokenizer", out.tokenizer);
  validate(config, file);

  auto& model = config.model;
  if (json.find("widening_factor") && model.explicit_ffn_size != dyn) {
    const index_t derived = ffn_size(model.emb_size, model.widening_factor);
    if (derived != model.explicit_ffn_size)
      tess::fail(file, ": \"ffn_size\" is ", model.explicit_ffn_size, ", but \"widening_factor\" makes it ", derived,
                 ": leave out the wrong one");
    model.explicit_ffn_size = dyn;
  }
  return out;
}

/// One line for each field in which `found` differs from `expected` ("emb_size: expected 32, found 96"); sizes that
/// `expected` leaves open (`dyn`) agree with all. Names, initialisers and the weights' storage are not compared.
inline std::vector<std::string> differences(const LanguageModelConfig& expected, const LanguageModelConfig& found) {
  struct Value {
    std::string_view name;
    double number;
    bool open;
  };
  const auto values = [](const LanguageModelConfig& c) {
    std::vector<Value> v;
    for_each_field(c, [&](std::string_view name, auto field) {
      const bool is_size = std::is_integral_v<decltype(field)>;
      v.push_back({name, static_cast<double>(field), is_size && static_cast<index_t>(field) == dyn});
    });
    v.push_back({"ffn_size", static_cast<double>(c.model.ffn_size()), c.model.ffn_size() == dyn});
    return v;
  };
  const bool both_dense = !expected.model.is_moe() && !found.model.is_moe();
  const auto a = values(expected), b = values(found);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool of_experts = a[i].name == "num_experts" || a[i].name == "num_selected_experts";
    if (of_experts ? both_dense : a[i].open) continue;  // -1 experts: dense, not open
    if (a[i].number != b[i].number)
      lines.push_back(std::string(a[i].name) + ": expected " + detail::number(a[i].number) + ", found " +
                      detail::number(b[i].number));
  }
  return lines;
}

}  // namespace grok1
