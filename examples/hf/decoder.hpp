// What decoders on the Hugging Face hub have in common: mesh axes, fields of config.json, names of tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include <tess/io/config_fields.hpp>
#include <tess/io/names.hpp>
#include <tess/nn/tensor_parallel.hpp>

namespace hf {

using namespace tess;
namespace tp = nn::tensor_parallel;

struct data;
struct expert;
struct model;
/// The model axis may have two parts, 2, 2 for 4: then key/value heads that are too few for it lie over the first.
template <index_t Data, index_t Expert, index_t... Model>
using MeshOf = Mesh<Axis<data, Data>, Axis<expert, Expert>, Axis<model, Model...>>;
/// A batch lies over data and experts, so that tokens go to experts by all-to-all.
template <AnyMesh M, class D, class Weight>
using Place = tp::Place<M, D, Weight, Axes<data, expert>, model, expert>;

/// What every config.json says. A number that a type leaves at dyn, or 0, is decided by the file; others must agree.
struct DecoderConfig {
  index_t hidden = dyn, layers = dyn, vocabulary = dyn, heads = dyn, kv_heads = dyn, width = dyn;
  f64 eps = 0, rope_base = 0;

  /// All but the width of a head, which not every file has.
  void read_decoder(io::ConfigFields& f) {
    f.is("tie_word_embeddings", false);
    f("hidden_size", hidden), f("vocab_size", vocabulary), read_count(f, "num_hidden_layers", layers);
    f("num_attention_heads", heads), f("num_key_value_heads", kv_heads), f("rms_norm_eps", eps);
    f({"rope_theta", "rope_parameters.rope_theta"}, rope_base);
    if (!(eps >= 0 && eps < 1)) f.problem("\"rms_norm_eps\" is not between 0 and 1.");
  }
  /// Of a head; where "head_dim" is missing, the stream is as wide as all heads.
  void read_width(io::ConfigFields& f) {
    f("head_dim", width, heads > 0 ? hidden / heads : dyn);
    if (width == 0) f.problem("\"head_dim\" is 0, or \"hidden_size\" is less than \"num_attention_heads\".");
  }
  /// Of layers or experts. Each has names of its own, which are made before any is looked for in a file.
  template <class... Otherwise>
  static void read_count(io::ConfigFields& f, const io::ConfigFields::Paths& paths, index_t& count,
                         const Otherwise&... otherwise) {
    constexpr index_t most = 4096;
    f(paths, count, otherwise...);
    if (count > most)
      f.problem("\"" + paths.all()[0] + "\" is " + std::to_string(count) + ", expected " + std::to_string(most) +
                " at most.");
  }
};

/// The rows that all of them have: embedding, norms, attention with `q_proj` … `o_proj`, head.
inline io::Names decoder_names(const DecoderConfig& c) {
  const index_t q = c.heads * c.width, kv = c.kv_heads * c.width, h = c.hidden;
  const std::string ours = "layers_{}/", theirs = "model.layers.{}.", attention = theirs + "self_attn.";
  return {{"embed/embeddings", "model.embed_tokens.weight", {c.vocabulary, h}},
          {ours + "attention_norm/scale", theirs + "input_layernorm.weight", {h}},
          {ours + "attention/query/w", attention + "q_proj.weight", {q, h}, io::out_in},
          {ours + "attention/key/w", attention + "k_proj.weight", {kv, h}, io::out_in},
          {ours + "attention/value/w", attention + "v_proj.weight", {kv, h}, io::out_in},
          {ours + "attention/output/w", attention + "o_proj.weight", {h, q}, io::out_in},
          {ours + "feed_forward_norm/scale", theirs + "post_attention_layernorm.weight", {h}},
          {"norm/scale", "model.norm.weight", {h}},
          {"head/w", "lm_head.weight", {c.vocabulary, h}, io::out_in}};
}

/// The biases of attention; `of_output`: that of `o_proj` too.
inline io::Names attention_bias_names(const DecoderConfig& c, bool of_output) {
  const index_t q = c.heads * c.width, kv = c.kv_heads * c.width;
  const std::string ours = "layers_{}/attention/", theirs = "model.layers.{}.self_attn.";
  io::Names names = {{ours + "query/b", theirs + "q_proj.bias", {q}},
                     {ours + "key/b", theirs + "k_proj.bias", {kv}},
                     {ours + "value/b", theirs + "v_proj.bias", {kv}}};
  if (of_output) names.push_back({ours + "output/b", theirs + "o_proj.bias", {c.hidden}});
  return names;
}

/// The rows {gate, up, down} of a gated feed-forward network; with a number of experts and a second {} in `tensor`, those
/// of experts.
inline io::Names feed_forward_names(const std::string& path, const std::string& tensor, const char* const (&names)[3],
                                    index_t hidden, index_t ffn, index_t experts = 0) {
  const auto shape = [experts](index_t out, index_t in) {
    return experts ? std::vector<index_t>{experts, out, in} : std::vector<index_t>{out, in};
  };
  return {{path + "gate/w", tensor + names[0] + ".weight", shape(ffn, hidden), io::out_in},
          {path + "up/w", tensor + names[1] + ".weight", shape(ffn, hidden), io::out_in},
          {path + "down/w", tensor + names[2] + ".weight", shape(hidden, ffn), io::out_in}};
}

/// One table of several.
inline io::Names joined(std::initializer_list<io::Names> tables) {
  io::Names all;
  for (const io::Names& t : tables) all.insert(all.end(), t.begin(), t.end());
  return all;
}

/// The numbers that types may leave open, into a model of DecoderLayers with MultiHeadAttention.
template <class Model>
void set_decoder(Model& lm, const DecoderConfig& c) {
  lm.set_layers(c.layers, c.eps);
  for (auto& layer : lm.layers.blocks) {
    layer.attention.query_heads = c.heads, layer.attention.key_value_heads = c.kv_heads;
    layer.attention.head_width = c.width;
    layer.attention.options.scale = static_cast<f32>(1 / std::sqrt(static_cast<f64>(c.width)));
    layer.attention.rotary.base = c.rope_base;
  }
}

}  // namespace hf
