// The parameters of a checkpoint: path, shape, kind and scale groups of every leaf, in the order of the official files.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "config.hpp"

namespace grok1 {

/// One leaf of the reference's parameter tree.
struct Leaf {
  std::string path;            // e.g. "transformer/decoder_layer_0/moe/linear/w"
  std::vector<index_t> shape;  // of the weight
  index_t groups = 0;          // 0: plain f32; otherwise int8 with bf16 scales [..., groups, N]

  bool quantized() const { return groups > 0; }
  friend bool operator==(const Leaf&, const Leaf&) = default;
};

/// "tensor00012_000": leaf 12 as the first host wrote it.
inline std::string leaf_file(std::size_t index) {
  const std::string digits = std::to_string(index);
  return "tensor" + std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits + "_000";
}

/// All leaves; the i-th is in `leaf_file(i)`. The reference sorts module paths as strings, so layers come in the order
/// 0, 1, 10, 11, …, 19, 2, 20, …. Every size in `config` must be known (no `dyn`).
inline std::vector<Leaf> leaves(const LanguageModelConfig& config) {
  const auto& m = config.model;
  const index_t emb = m.emb_size, ffn = m.ffn_size(), q = m.num_q_heads * m.key_size, kv = m.num_kv_heads * m.key_size;
  std::vector<Leaf> all;
  const auto plain = [&](std::string path, std::vector<index_t> shape) {
    all.push_back({std::move(path), std::move(shape), 0});
  };
  const auto weight = [&](std::string path, std::vector<index_t> shape, index_t groups) {
    all.push_back({std::move(path), std::move(shape), config.quantized ? groups : 0});
  };

  plain("language_model/in_out_embed/embeddings", {config.vocab_size, emb});
  plain("language_model/rms_norm/scale", {emb});
  for (index_t l = 0; l < m.num_layers; ++l) {
    const std::string layer = "transformer/decoder_layer_" + std::to_string(l) + "/";
    const std::string ffn_path = layer + (m.is_moe() ? "moe/" : "");
    const auto expert = [&](index_t in, index_t out) {
      return m.is_moe() ? std::vector<index_t>{m.num_experts, in, out} : std::vector<index_t>{in, out};
    };
    weight(ffn_path + "linear/w", expert(emb, ffn), 1);                      // gate, through GELU
    weight(ffn_path + "linear_1/w", expert(ffn, emb), config.scale_groups);  // down
    weight(ffn_path + "linear_v/w", expert(emb, ffn), 1);                    // up
    weight(layer + "multi_head_attention/key/w", {emb, kv}, 1);
    weight(layer + "multi_head_attention/linear/w", {q, emb}, config.scale_groups);
    weight(layer + "multi_head_attention/query/w", {emb, q}, 1);
    weight(layer + "multi_head_attention/value/w", {emb, kv}, 1);
    for (const char* norm : {"rms_norm", "rms_norm_1", "rms_norm_2", "rms_norm_3"})
      plain(layer + norm + "/scale", {emb});
    if (m.is_moe()) plain(layer + "router/w", {emb, m.num_experts});
  }
  std::sort(all.begin(), all.end(), [](const Leaf& a, const Leaf& b) { return a.path < b.path; });
  return all;
}

/// The paths alone, in the order of the files.
inline std::vector<std::string> leaf_paths(const LanguageModelConfig& config) {
  const std::vector<Leaf> all = leaves(config);
  std::vector<std::string> paths(all.size());
  std::transform(all.begin(), all.end(), paths.begin(), [](const Leaf& leaf) { return leaf.path; });
  return paths;
}

}  // namespace grok1
