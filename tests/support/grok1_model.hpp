// Grok-1 on the goldens' sizes: configurations, a loaded model, its stages as numbers under the reference's names.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <tess/io/transfer.hpp>

#include "grok1/load.hpp"
#include "grok1/model.hpp"
#include "support/golden.hpp"
#include "support/golden_values.hpp"

namespace tess::test {

using grok1::LanguageModelConfig;
using grok1::TransformerConfig;

constexpr LanguageModelConfig golden_config(TransformerConfig transformer, bool quantized = true,
                                            index_t scale_groups = 8) {
  LanguageModelConfig c;
  c.model = transformer;
  c.model.shard_activations = true;
  c.vocab_size = transformer.vocab_size;
  c.sequence_len = 48;
  c.embedding_multiplier_scale = 78.38367176906169;
  c.output_multiplier_scale = 0.5773502691896257;
  c.quantized = quantized;
  c.scale_groups = scale_groups;
  return c;
}

struct Moe12 {
  static constexpr LanguageModelConfig value = golden_config({.emb_size = 32,
                                                              .key_size = 16,
                                                              .num_q_heads = 16,
                                                              .num_kv_heads = 8,
                                                              .num_layers = 12,
                                                              .vocab_size = 512,
                                                              .widening_factor = 8,
                                                              .attn_output_multiplier = 0.25,
                                                              .num_experts = 8,
                                                              .num_selected_experts = 2});
};
struct Moe2 {
  static constexpr LanguageModelConfig value = golden_config({.emb_size = 96,
                                                              .key_size = 32,
                                                              .num_q_heads = 24,
                                                              .num_kv_heads = 8,
                                                              .num_layers = 2,
                                                              .vocab_size = 1000,
                                                              .widening_factor = 8,
                                                              .attn_output_multiplier = 0.1767766952966369,
                                                              .num_experts = 8,
                                                              .num_selected_experts = 2});
};
struct Dense {
  static constexpr LanguageModelConfig value = golden_config({.emb_size = 64,
                                                              .key_size = 16,
                                                              .num_q_heads = 16,
                                                              .num_kv_heads = 8,
                                                              .num_layers = 3,
                                                              .vocab_size = 512,
                                                              .widening_factor = 8,
                                                              .attn_output_multiplier = 0.25,
                                                              .num_experts = 1,
                                                              .num_selected_experts = 1});
};
struct DenseF32 {
  static constexpr LanguageModelConfig value = golden_config(Dense::value.model, false, 4);
};

/// Another configuration with another routing policy or type of cache.
template <class C, class Routing = nn::SoftmaxTopK<>, class Cache = bf16>
struct Variant {
  using routing = Routing;
  using cache_type = Cache;
  static constexpr LanguageModelConfig value = C::value;
};

/// The experts that a table says, with the weights that the softmax over all of them gives.
struct Forced {
  const i32* experts = nullptr;  // [tokens, k]

  constexpr void operator()(index_t token, std::span<const f32> logits, std::span<i32> chosen,
                            std::span<f32> weights) const {
    f32 largest = logits[0], sum = 0;
    for (const f32 v : logits) largest = v > largest ? v : largest;
    for (const f32 v : logits) sum += std::exp(v - largest);
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      chosen[j] = experts[static_cast<std::size_t>(token) * chosen.size() + j];
      weights[j] = std::exp(logits[static_cast<std::size_t>(chosen[j])] - largest) / sum;
    }
  }
};

/// What is done with weights that lie where the batch lies: what the model chooses, or one of the two.
enum class Strategy { by_bill, stationary, gathered };

/// One pass under a strategy, on any device. On meshes that do not shard a batch all strategies are one.
template <grok1::Positions Which = grok1::Positions::last, class C, class M, class D, class Tokens>
constexpr auto pass(const grok1::LanguageModel<C, M, D>& model, D& dev, const Tokens& tokens,
                    grok1::Memory<C, M, D>& memory, Segments rows, Strategy strategy) {
  if constexpr (grok1::LanguageModel<C, M, D>::batch_parts > 1) {
    if (strategy == Strategy::gathered) return model.template pass<Which>(dev, tokens, memory, rows, nn::Gathered{});
    if (strategy == Strategy::stationary)
      return model.template pass<Which>(dev, tokens, memory, rows, nn::WeightStationary{});
  }
  return model.template operator()<Which>(dev, tokens, memory, rows);
}

/// A model of configuration C on the mesh data × model, with the parameters of a folder or dummy ones, and its device D.
/// Model may be the parts of the axis, major to minor.
template <class D, class C, index_t Data, index_t... Model>
struct LoadedOn {
  using M = Mesh<Axis<grok1::data, Data>, Axis<grok1::model, Model...>>;
  using T = grok1::Types<C, M, D>;
  using Memory = grok1::Memory<C, M, D>;

  D dev;
  grok1::LanguageModel<C, M, D> model;
  Strategy strategy = Strategy::by_bill;

  explicit LoadedOn(const std::filesystem::path& folder) { grok1::load_checkpoint(dev, model, folder); }
  explicit LoadedOn(std::uint64_t seed) { grok1::load_dummy_weights(dev, model, seed); }

  /// The elements of a finished tensor.
  template <AnyTensor X>
  Values read(const X& x) {
    if constexpr (std::is_same_v<D, Host>) return whole(x);
    else return whole(io::on_each_host(dev, x));
  }

  /// The experts [layers, tokens, k] that `Forced` obeys.
  void force(const std::vector<i32>& experts) {
    auto& blocks = model.transformer.layers.blocks;
    for (std::size_t l = 0; l < blocks.size(); ++l)
      blocks[l].feed_forward.router.choose.experts = experts.data() + experts.size() / blocks.size() * l;
  }

  typename T::Tokens tokens(std::span<const i32> ids, index_t batch) {
    auto t = make<typename T::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, static_cast<index_t>(ids.size()) / batch});
    if constexpr (std::is_same_v<D, Host>)
      for (index_t r = 0; r < M::size; ++r) std::memcpy(t.storage().data(r), ids.data(), ids.size_bytes());
    else
      dev.template each_rank<typename T::Tokens>([&](index_t r, auto& gpu) {
        gpu.upload(t.storage().data(r), ids.data(), static_cast<index_t>(ids.size_bytes()));
      });
    return t;
  }
  /// Logits [B, T or 1, V].
  template <grok1::Positions Which = grok1::Positions::last>
  Values operator()(std::span<const i32> ids, Memory& memory, const std::vector<Segment>& rows) {
    return read(pass<Which>(model, dev, tokens(ids, static_cast<index_t>(rows.size())), memory, view(rows), strategy));
  }

  /// One pass over a batch; emit(name, values) for every stage, named as in the goldens. Returns the logits [B, T, V].
  template <class Emit>
  Values trace(std::span<const i32> ids, Memory& memory, const std::vector<Segment>& rows, Emit emit) {
    using Stream = typename T::Stream;
    const auto batch = tokens(ids, static_cast<index_t>(rows.size()));
    const auto embedded = reshard<Stream>(dev, model.in_out_embed(dev, batch));
    emit("language_model/in_out_embed", read(embedded));
    const f32 in = bf16(static_cast<f32>(model.config.embedding_multiplier_scale)),
              out = bf16(static_cast<f32>(model.config.output_multiplier_scale));
    auto h = map<f32>(dev, grok1::Times{in}, embedded);
    for (std::size_t l = 0; l < model.transformer.layers.blocks.size(); ++l) {
      const auto& layer = model.transformer.layers.blocks[l];
      const std::string path = "transformer/decoder_layer_" + std::to_string(l);
      const auto at = [&](const char* name, const Values& v) { emit(path + "/" + name, v); };

      const auto x = layer.norm(dev, h);
      at("rms_norm", read(x));
      projections(layer.attention, x, view(rows), at);
      const auto attended = reshard<Stream>(dev, layer.attention(dev, x, memory.layers[l], view(rows)));
      at("multi_head_attention", read(attended));
      const auto normed = layer.norm_1(dev, attended);
      at("rms_norm_1", read(normed));
      const auto h1 = add(dev, h, normed);
      const auto x2 = layer.norm_2(dev, h1);
      at("rms_norm_2", read(x2));
      feed_forward_parts(layer.feed_forward, x2, at);
      const auto fed = reshard<Stream>(dev, layer.feed_forward(dev, x2));
      at(C::value.model.is_moe() ? "moe" : "linear_1", read(fed));
      const auto normed_3 = layer.norm_3(dev, fed);
      at("rms_norm_3", read(normed_3));
      h = add(dev, h1, normed_3);
      emit(path, read(h));
    }
    const auto x = model.rms_norm(dev, h);
    emit("language_model/rms_norm", read(x));
    const auto logits = model.in_out_embed.template attend<typename T::Logits>(dev, x);
    return read(map<f32>(dev, grok1::RoundedTimes{out}, logits));
  }

 private:
  template <class X, class At>
  void projections(const typename T::MHABlock& attention, const X& x, Segments rows, At at) {
    constexpr index_t width = C::value.model.key_size;
    const auto project_to = [&](const auto& linear) {
      return project<nn::projected_spec<X, std::remove_cvref_t<decltype(linear.weight)>>>(dev, linear, x);
    };
    const auto q = project_to(attention.query);
    const auto k = project_to(attention.key);
    const auto v = project_to(attention.value);
    at("multi_head_attention/query", read(q));
    at("multi_head_attention/key", read(k));
    at("multi_head_attention/value", read(v));
    at("multi_head_attention/rotary_embedding/query",
       read(attention.rotary(dev, split<2, C::value.model.num_q_heads, width>(q, attention.query_heads), rows)));
    at("multi_head_attention/rotary_embedding/key",
       read(attention.rotary(dev, split<2, C::value.model.num_kv_heads, width>(k, attention.key_value_heads), rows)));
  }

  template <class Block, class X, class At>
  void feed_forward_parts(const Block& block, const X& x, At at) {
    if constexpr (requires { block.router; }) {
      const auto in = reshard<typename T::Experts::template input_spec<X>>(dev, x);
      const auto logits = block.router.logits(dev, in);
      at("router/logits", read(logits));
      const auto routes = route(dev, logits, block.router.selected, block.router.choose);
      at("router/experts", read(routes.experts));
      at("router/weights", read(routes.weights));
    } else {
      const auto in = reshard<typename Block::template input_spec<X>>(dev, x);
      at("linear", read(reduce(dev, block.gate(dev, in))));
      at("linear_v", read(reduce(dev, block.up(dev, in))));
    }
  }
};

template <class C, index_t Data, index_t... Model>
using Loaded = LoadedOn<Host, C, Data, Model...>;

}  // namespace tess::test
