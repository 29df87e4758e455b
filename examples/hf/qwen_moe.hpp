// What Qwen2-MoE and Qwen3-MoE have in common: which layers have experts, their sizes, and no sliding window.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "decoder.hpp"
#include "rope.hpp"

namespace hf {

/// Layer l is dense, of width `ffn`, if it is one of `dense` or l + 1 is no multiple of `sparse_step`.
/// Source: transformers, models/qwen3_moe, class Qwen3MoeDecoderLayer.
struct QwenMoeConfig : DecoderConfig {
  index_t ffn = dyn, expert_ffn = dyn, experts = dyn, chosen = dyn, sparse_step = dyn;
  std::optional<bool> normalize{};  // the chosen experts' weights add up to one
  std::vector<index_t> dense{};
  Rope positions{};  // plain, or stretched by YaRN for long prompts

  void read_qwen_moe(io::ConfigFields& f) {
    read_decoder(f), read_rope(f, positions);
    f.is("hidden_act", "silu"), f.is("use_sliding_window", false);
    f.harmless({"sliding_window", "max_window_layers"}, "use_sliding_window says that there is no window");
    for (const std::string& type : f.strings("layer_types"))
      if (type != "full_attention")
        f.problem("\"layer_types\" has " + io::printable(type) + ", this model knows only full_attention.");
    read_width(f), f("intermediate_size", ffn), f("moe_intermediate_size", expert_ffn);
    read_count(f, {"num_experts", "num_local_experts"}, experts), f("num_experts_per_tok", chosen);
    f("norm_topk_prob", normalize, false), f("decoder_sparse_step", sparse_step, 1);
    dense = f.integers("mlp_only_layers");
    if (sparse_step == 0) f.problem("\"decoder_sparse_step\" is 0, expected at least 1.");
  }
  [[nodiscard]] bool is_sparse(std::size_t layer) const {
    const auto l = static_cast<index_t>(layer);
    return std::find(dense.begin(), dense.end(), l) == dense.end() && (l + 1) % sparse_step == 0;
  }
};

/// The numbers that types may leave open: of dense or sparse layers, where experts(layer) is the mixture of a sparse
/// one.
template <class Model, class Experts>
void set_qwen_moe(Model& lm, const QwenMoeConfig& c, Experts experts) {
  set_decoder(lm, c);
  for (std::size_t i = 0; i < lm.layers.blocks.size(); ++i) {
    auto& layer = lm.layers.blocks[i];
    static_cast<RotaryOptions&>(layer.attention.rotary) = c.positions.options;
    layer.attention.rotary.base = c.rope_base;
    layer.feed_forward.takes_second = c.is_sparse(i);
    auto& moe = experts(layer.feed_forward.second);
    moe.expert_count = c.experts, moe.router.selected = c.chosen;
    moe.router.choose.normalize = c.normalize.value_or(false);
  }
}

/// The rows of dense layers and, with `ours` in front, of routers and experts.
inline io::Names qwen_moe_names(const QwenMoeConfig& c, const std::string& ours) {
  const std::string path = "layers_{}/feed_forward/", mlp = "model.layers.{}.mlp.";
  const char* const parts[] = {"gate_proj", "up_proj", "down_proj"};
  return joined(
      {decoder_names(c),
       feed_forward_names(path, mlp, parts, c.hidden, c.ffn),
       {{path + ours + "router/w", mlp + "gate.weight", {c.experts, c.hidden}, io::out_in}},
       feed_forward_names(path + ours + "experts/", mlp + "experts.{}.", parts, c.hidden, c.expert_ffn, c.experts)});
}

}  // namespace hf
