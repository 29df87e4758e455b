// What decoders with latent attention have in common (DeepSeek-V2 and -V3, Kimi K2): sizes, names, types, numbers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <string>
#include <type_traits>

#include "decoder.hpp"
#include "rope.hpp"

namespace hf {

/// query_rank is 0 where queries are one plain projection. A head's query and key are [nope | rope], its value is
/// `value`.
struct LatentConfig : DecoderConfig {
  index_t query_rank = dyn, latent = dyn, nope = dyn, rope = dyn, value = dyn;
  Rope positions{};

  void read_latent(io::ConfigFields& f) {
    read_decoder(f), read_rope(f, positions);
    f.is("attention_bias", false), f.is("rope_interleave", true), f.is("num_key_value_heads", heads);
    f.harmless({"head_dim", "qk_head_dim"}, "the parts of a head have fields of their own");
    const bool low_rank = query_rank != 0;
    f("q_lora_rank", query_rank, 0), f("kv_lora_rank", latent);
    if (low_rank && query_rank == 0)
      f.problem("\"q_lora_rank\" is null, but the model's type has queries of low rank.");
    f("qk_nope_head_dim", nope), f("qk_rope_head_dim", rope), f("v_head_dim", value);
  }
};

/// Of experts in equal groups: each is judged by its two best, and in those that stay there are as many as are chosen.
inline void check_groups(io::ConfigFields& f, index_t experts, index_t chosen, index_t groups, index_t kept) {
  for (const index_t n : {experts, chosen, groups, kept})
    if (n < 1) return;  // reported already
  const index_t size = experts / groups;
  if (size >= 2 && size * groups == experts && kept <= groups && chosen <= kept * size) return;
  f.problem("\"n_group\" is " + std::to_string(groups) + ", \"topk_group\" " + std::to_string(kept) +
            ": expected equal groups of the " + std::to_string(experts) +
            " experts, two or more in each, and at least " + std::to_string(chosen) + " in those that stay.");
}

/// Latent attention on hidden width `c.hidden`, as `c` has it.
template <class At, index_t Hidden, index_t QueryRank, index_t Heads, index_t Latent, index_t Nope, index_t Rope,
          index_t Value>
using LatentAttentionOf = nn::LatentAttention<
    std::conditional_t<QueryRank == 0, tp::Column<At, Hidden, tp::times(Heads, tp::plus(Nope, Rope))>,
                       tp::LowRankColumn<At, Hidden, QueryRank, tp::times(Heads, tp::plus(Nope, Rope))>>,
    tp::Whole<At, Hidden, tp::plus(Latent, Rope)>, tp::Norm<At, Latent>, tp::EachHead<At, Heads, Nope, Latent>,
    tp::EachHead<At, Heads, Latent, Value>, tp::Row<At, tp::times(Heads, Value), Hidden>>;

/// Those of a decoder but for keys and values, which `kv_b_proj` [heads · (nope + value), latent] holds head by head.
inline io::Names latent_names(const LatentConfig& c) {
  const index_t h = c.hidden, q = c.heads * (c.nope + c.rope);
  const std::vector<index_t> up = {c.heads * (c.nope + c.value), c.latent};
  const std::string ours = "layers_{}/attention/", theirs = "model.layers.{}.self_attn.";
  return joined({{{ours + "query/w", theirs + "q_proj.weight", {q, h}, io::out_in},
                  {ours + "query_down/w", theirs + "q_a_proj.weight", {c.query_rank, h}, io::out_in},
                  {ours + "query_norm/scale", theirs + "q_a_layernorm.weight", {c.query_rank}},
                  {ours + "query_up/w", theirs + "q_b_proj.weight", {q, c.query_rank}, io::out_in},
                  {ours + "latent_down/w", theirs + "kv_a_proj_with_mqa.weight", {c.latent + c.rope, h}, io::out_in},
                  {ours + "latent_norm/scale", theirs + "kv_a_layernorm.weight", {c.latent}},
                  {ours + "key_up/w", theirs + "kv_b_proj.weight", up, io::block_rows(c.heads, 0, c.nope)},
                  {ours + "value_up/w", theirs + "kv_b_proj.weight", up,
                   io::transposed(io::block_rows(c.heads, c.nope, c.value))},
                  {ours + "output/w", theirs + "o_proj.weight", {h, c.heads * c.value}, io::out_in}},
                 decoder_names(c)});
}

/// The numbers that types may leave open, into a model of DecoderLayers with LatentAttention.
template <class Model>
void set_latent(Model& lm, const LatentConfig& c) {
  lm.set_layers(c.layers, c.eps);
  for (auto& layer : lm.layers.blocks) {
    auto& a = layer.attention;
    static_cast<RotaryOptions&>(a.rotary) = c.positions.options;
    a.rotary.base = c.rope_base, a.rotary.pairs = RotaryPairs::neighbours;
    a.options.scale = static_cast<f32>(c.positions.score_factor / std::sqrt(static_cast<f64>(c.nope + c.rope)));
    a.latent_norm.eps = 1e-6f;  // whatever config.json says of the other norms
    if constexpr (requires { a.query.norm; }) a.query.norm.eps = 1e-6f;
  }
}

}  // namespace hf
