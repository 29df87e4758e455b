// The two conversions of Grok-1 that people have, written from an official checkpoint as their converters write them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include <tess/io/checkpoint.hpp>
#include <tess/io/safetensors_writer.hpp>

#include "grok1/config.hpp"
#include "grok1/leaves.hpp"
#include "support/files.hpp"

namespace tess::test {

/// Tensors by name, and the numbers behind them.
class Conversion {
 public:
  /// `hpcai`: or else keyfan. Linear weights are bf16(int8 · scale) and [out, in], the router f32, all else bf16.
  Conversion(const std::filesystem::path& official, const grok1::LanguageModelConfig& config, bool hpcai)
      : config_(config), hpcai_(hpcai) {
    const io::PickleCheckpoint checkpoint(official, grok1::leaf_paths(config));
    for (const grok1::Leaf& leaf : grok1::leaves(config)) convert(leaf.path, checkpoint.read(leaf.path));
  }

  std::vector<io::NamedArray>& arrays() { return arrays_; }
  void write(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    io::write_safetensors(folder / "model.safetensors", arrays_, {{"format", "pt"}});
    write_config(folder);
  }
  /// In two files and the index that names them.
  void write_parts(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    std::vector<io::NamedArray> parts[2];
    std::string index;
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      parts[i % 2].push_back(arrays_[i]);
      index += (i ? ", \"" : "{\"weight_map\": {\"") + arrays_[i].name + "\": \"" + part(i % 2) + "\"";
    }
    for (std::size_t p = 0; p < 2; ++p) io::write_safetensors(folder / part(p), parts[p]);
    write_file(folder / "model.safetensors.index.json", index + "}}");
    write_config(folder);
  }

  /// Adds a tensor of bf16.
  void add(const std::string& name, std::vector<index_t> shape, std::vector<bf16> values) {
    add_array(name, io::DType::bf16, std::move(shape),
              std::as_bytes(std::span(bf16s_.emplace_back(std::move(values)))));
  }

 private:
  static std::string part(std::size_t i) { return "model-0000" + std::to_string(i + 1) + "-of-00002.safetensors"; }

  void convert(const std::string& path, const io::Leaf& leaf) {
    std::vector<f32> w = io::values_as<f32>(leaf.weight);
    const auto& shape = leaf.weight.shape;
    if (shape.size() == 1 || path.ends_with("embeddings")) return add(theirs(path), shape, {w.begin(), w.end()});
    const auto K = static_cast<std::size_t>(shape.end()[-2]), N = static_cast<std::size_t>(shape.back()), size = K * N;
    if (leaf.scales) {
      const auto scales = io::values_as<f32>(*leaf.scales);
      const std::size_t rows = w.size() / scales.size();  // of a group
      for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / N / rows * N + i % N];
    }
    for (std::size_t e = 0; e < w.size() / size; ++e) {
      std::vector<f32> out_in(size);
      for (std::size_t k = 0; k < K; ++k)
        for (std::size_t n = 0; n < N; ++n) out_in[n * K + k] = w[e * size + k * N + n];
      const std::vector<index_t> turned{shape.back(), shape.end()[-2]};
      if (path.ends_with("router/w"))
        add_array(theirs(path), io::DType::f32, turned, std::as_bytes(std::span(f32s_.emplace_back(out_in))));
      else add(theirs(path, std::to_string(e)), turned, {out_in.begin(), out_in.end()});
    }
  }

  /// The name of a parameter, of an expert's part of it.
  std::string theirs(const std::string& path, const std::string& expert = "") const {
    if (path.starts_with("language_model")) {
      const bool table = path.ends_with("embeddings");
      if (hpcai_) return table ? "model.embed_tokens.weight" : "model.norm.scale";
      return table ? "transformer.in_out_embed.weight" : "transformer.rms_norm.weight";
    }
    const std::size_t number = std::string("transformer/decoder_layer_").size(), slash = path.find('/', number);
    const std::string layer = path.substr(number, slash - number), module = path.substr(slash + 1);
    struct Pair {
      const char *ours, *hpcai, *keyfan;
    };
    for (const Pair& p :
         {Pair{"rms_norm/scale", "pre_attn_norm.scale", "rms_norm.weight"},
          Pair{"rms_norm_1/scale", "post_attn_norm.scale", "rms_norm_1.weight"},
          Pair{"rms_norm_2/scale", "pre_moe_norm.scale", "rms_norm_2.weight"},
          Pair{"rms_norm_3/scale", "post_moe_norm.scale", "rms_norm_3.weight"},
          Pair{"multi_head_attention/query/w", "attn.q_proj.weight", "multi_head_attention.query.weight"},
          Pair{"multi_head_attention/key/w", "attn.k_proj.weight", "multi_head_attention.key.weight"},
          Pair{"multi_head_attention/value/w", "attn.v_proj.weight", "multi_head_attention.value.weight"},
          Pair{"multi_head_attention/linear/w", "attn.o_proj.weight", "multi_head_attention.linear.weight"},
          Pair{"router/w", "moe_block.gate.weight", "router.weight"},
          Pair{"moe/linear/w", "moe_block.experts.E.linear.weight", "moe.E.linear.weight"},
          Pair{"moe/linear_v/w", "moe_block.experts.E.linear_v.weight", "moe.E.linear_v.weight"},
          Pair{"moe/linear_1/w", "moe_block.experts.E.linear_1.weight", "moe.E.linear_1.weight"}})
      if (module == p.ours) {
        std::string name = hpcai_ ? p.hpcai : p.keyfan;
        if (const std::size_t at = name.find(".E."); at != name.npos) name.replace(at + 1, 1, expert);
        return (hpcai_ ? "model.layers." : "transformer.decoder_layer.") + layer + "." + name;
      }
    throw std::invalid_argument("no conversion has " + path);
  }

  /// As the hub's files spell it, and in keyfan's with the defaults of its class, which are not Grok-1's.
  void write_config(const std::filesystem::path& folder) const {
    const auto& m = config_.model;
    std::string text = hpcai_ ? "{\"architectures\": [\"Grok1ModelForCausalLM\"], \"num_experts\": "
                              : "{\"model_type\": \"grok\", \"hidden_act\": \"silu\", \"rope_theta\": 100000.0, "
                                "\"num_local_experts\": ";
    text += std::to_string(m.num_experts);
    const auto field = [&](const char* name, const auto& value) {
      std::ostringstream digits;
      digits.precision(17);
      digits << ", \"" << name << "\": " << value;
      text += digits.str();
    };
    field("hidden_size", m.emb_size), field("intermediate_size", m.ffn_size()), field("head_dim", m.key_size);
    field("num_hidden_layers", m.num_layers), field("num_attention_heads", m.num_q_heads);
    field("num_key_value_heads", m.num_kv_heads), field("num_experts_per_tok", m.num_selected_experts);
    field("vocab_size", config_.vocab_size), field("max_position_embeddings", config_.sequence_len);
    field("attn_output_multiplier", m.attn_output_multiplier), field("rms_norm_eps", m.rms_norm_eps);
    field("embedding_multiplier_scale", config_.embedding_multiplier_scale);
    field("output_multiplier_scale", config_.output_multiplier_scale);
    if (hpcai_) field("max_attn_value", m.max_attn_value);
    field("tie_word_embeddings", "true"), field("torch_dtype", "\"bfloat16\""),
        field("eos_token_id", config_.eos_token);
    write_file(folder / "config.json", text + "}");
  }

  void add_array(const std::string& name, io::DType dtype, std::vector<index_t> shape,
                 std::span<const std::byte> bytes) {
    io::NamedArray& a = arrays_.emplace_back();
    a.name = name, a.array.dtype = dtype, a.array.shape = std::move(shape), a.array.data = bytes;
  }

  grok1::LanguageModelConfig config_;
  bool hpcai_;
  std::vector<io::NamedArray> arrays_;
  std::deque<std::vector<bf16>> bf16s_;
  std::deque<std::vector<f32>> f32s_;
};

}  // namespace tess::test
