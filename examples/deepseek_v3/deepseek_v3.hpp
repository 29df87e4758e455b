// DeepSeek-V3: latent attention; sigmoid-scored experts in groups beside shared ones; the first layers are dense.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../hf/latent_decoder.hpp"

namespace hf {

/// DeepseekV3ForCausalLM. Layers that only guess further tokens (multi-token prediction, behind the last) are left
/// unread.
/// Source: DeepSeek-AI, arXiv 2412.19437; its modeling_deepseek.py; transformers, models/deepseek_v3.
struct DeepseekV3 {
  struct Config : LatentConfig {
    index_t dense_layers = dyn, ffn = dyn, expert_ffn = dyn, shared = dyn, experts = dyn, chosen = dyn, groups = dyn,
            kept_groups = dyn, guessing_layers = dyn;
    f64 routed_scale = 0;
    std::optional<bool> normalize{};

    void read(io::ConfigFields& f) {
      read_latent(f);
      f.is("model_type", "deepseek_v3"), f.is("hidden_act", "silu"), f.is("moe_layer_freq", index_t{1});
      f.is("scoring_func", "sigmoid"), f.is("topk_method", "noaux_tc"), f("norm_topk_prob", normalize);
      f("first_k_dense_replace", dense_layers, 3), f("intermediate_size", ffn), f("moe_intermediate_size", expert_ffn);
      f("n_shared_experts", shared), read_count(f, "n_routed_experts", experts), f("num_experts_per_tok", chosen);
      f("n_group", groups), f("topk_group", kept_groups), check_groups(f, experts, chosen, groups, kept_groups);
      f("routed_scaling_factor", routed_scale), read_count(f, "num_nextn_predict_layers", guessing_layers, 0);
    }
  };

  /// The types for one configuration (`C::value`), mesh, device and element type of the matrices.
  template <class C, AnyMesh M, class D, class Weight = bf16>
  struct Types {
    using At = Place<M, D, Weight>;
    static constexpr Config c = C::value;
    static constexpr index_t H = c.hidden;

    using Attention = LatentAttentionOf<At, H, c.query_rank, c.heads, c.latent, c.nope, c.rope, c.value>;
    using Router =
        nn::Router<tp::RouterWeight<At, H, c.experts>, nn::GroupedSigmoidTopK, nn::NoBias, tp::Bias<At, c.experts>>;
    using MoE = nn::MoELayer<Router, tp::Experts<At, c.experts, H, c.expert_ffn>>;
    using Sparse = nn::Parallel<MoE, tp::Dense<At, H, tp::times(c.shared, c.expert_ffn)>>;
    using Layer = nn::DecoderLayer<tp::Norm<At, H>, Attention, nn::Either<tp::Dense<At, H, c.ffn>, Sparse>>;
    using Model = tp::LM<At, c.vocabulary, H, c.layers, Layer, tp::Latents<At, tp::plus(c.latent, c.rope)>>;
  };

  template <class Model>
  static void set(Model& lm, const Config& c) {
    set_latent(lm, c);
    for (std::size_t i = 0; i < lm.layers.blocks.size(); ++i) {
      auto& feed_forward = lm.layers.blocks[i].feed_forward;
      feed_forward.takes_second = static_cast<index_t>(i) >= c.dense_layers;
      auto& moe = std::get<0>(feed_forward.second.layers);
      moe.expert_count = c.experts, moe.router.selected = c.chosen;
      moe.router.choose = {c.groups, c.kept_groups, static_cast<f32>(c.routed_scale), c.normalize.value_or(true)};
    }
  }

  static io::Names names(const Config& c) {
    const std::string ours = "layers_{}/feed_forward/", theirs = "model.layers.{}.mlp.";
    const char* const parts[] = {"gate_proj", "up_proj", "down_proj"};
    io::Names guessing;
    for (index_t i = c.layers; i < c.layers + c.guessing_layers; ++i)
      guessing.push_back({io::unused, "model.layers." + std::to_string(i) + ".*", {}});
    return joined(
        {latent_names(c),
         guessing,
         {{ours + "0/router/w", theirs + "gate.weight", {c.experts, c.hidden}, io::out_in},
          {ours + "0/router/correction", theirs + "gate.e_score_correction_bias", {c.experts}}},
         feed_forward_names(ours, theirs, parts, c.hidden, c.ffn),
         feed_forward_names(ours + "0/experts/", theirs + "experts.{}.", parts, c.hidden, c.expert_ffn, c.experts),
         feed_forward_names(ours + "1/", theirs + "shared_experts.", parts, c.hidden, c.shared * c.expert_ffn)});
  }
};

}  // namespace hf
