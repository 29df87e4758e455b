// Grok-1 from Tessera's blocks: one type for each configuration, mesh and device.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/device/dry.hpp>
#include <tess/nn/combinators.hpp>
#include <tess/nn/embedding.hpp>
#include <tess/nn/extent_arithmetic.hpp>
#include <tess/nn/moe_layer.hpp>
#include <tess/nn/multi_head_attention.hpp>
#include <tess/nn/rms_norm.hpp>

#include "model_config.hpp"
#include "partition_rules.hpp"

namespace grok1 {

namespace path {  // of the parameters, for the partition rules; the number of a layer plays no part in them
#define GROK1_PATH(name, string)                     \
  struct name {                                      \
    static constexpr std::string_view text = string; \
  }
GROK1_PATH(embeddings, "language_model/in_out_embed/embeddings");
GROK1_PATH(final_norm, "language_model/rms_norm/scale");
GROK1_PATH(query, "transformer/decoder_layer_0/multi_head_attention/query/w");
GROK1_PATH(key, "transformer/decoder_layer_0/multi_head_attention/key/w");
GROK1_PATH(value, "transformer/decoder_layer_0/multi_head_attention/value/w");
GROK1_PATH(attention_out, "transformer/decoder_layer_0/multi_head_attention/linear/w");
GROK1_PATH(norm, "transformer/decoder_layer_0/rms_norm/scale");
GROK1_PATH(router, "transformer/decoder_layer_0/router/w");
GROK1_PATH(moe_linear, "transformer/decoder_layer_0/moe/linear/w");
GROK1_PATH(moe_linear_v, "transformer/decoder_layer_0/moe/linear_v/w");
GROK1_PATH(moe_linear_1, "transformer/decoder_layer_0/moe/linear_1/w");
GROK1_PATH(linear, "transformer/decoder_layer_0/linear/w");
GROK1_PATH(linear_v, "transformer/decoder_layer_0/linear_v/w");
GROK1_PATH(linear_1, "transformer/decoder_layer_0/linear_1/w");
#undef GROK1_PATH
}  // namespace path

/// Every type of the model for one configuration, mesh and device. The specs come from the partition rules, by path.
template <AnyConfig C, AnyMesh M, class D>
struct Types {
  static constexpr LanguageModelConfig config = C::value;
  static constexpr TransformerConfig c = config.model;

  static constexpr index_t E = c.emb_size, F = c.ffn_size(), V = config.vocab_size;
  static constexpr index_t HQ = nn::times(c.num_q_heads, c.key_size), HK = nn::times(c.num_kv_heads, c.key_size);
  static constexpr bool sized = E != dyn;  // otherwise the checkpoint decides, also on the experts and the scale groups
  static constexpr index_t X = sized ? c.num_experts : dyn;
  static constexpr index_t column_groups = sized ? 1 : dyn, row_groups = sized ? config.scale_groups : dyn;

  using KeyValueAxis = key_value_axis<M, c.num_kv_heads>;
  using Rules = typename rules_with_heads_over<KeyValueAxis>::type;  // PARTITION_RULES where `model` divides the heads

  // [quote:parameters]
  template <class T, class S, class Path>
  using Param = ShardedTensor<T, S, M, spec_for<Rules, Path>, D>;
  template <index_t G>
  using Weight = packed<std::conditional_t<config.quantized, q8<G>, typename detail::weight_type<C>::type>>;
  template <class Path, index_t G, index_t... S>
  using Linear = nn::Linear<Param<Weight<G>, Shape<S...>, Path>>;
  // [/quote]

  using Norm = nn::RMSNorm<Param<f32, Shape<E>, path::norm>>;
  using FinalNorm = nn::RMSNorm<Param<f32, Shape<E>, path::final_norm>>;

  // [quote:blocks]
  using MHABlock =
      nn::MultiHeadAttention<nn::Heads<c.num_q_heads, c.num_kv_heads, c.key_size>,
                             Linear<path::query, column_groups, E, HQ>, Linear<path::key, column_groups, E, HK>,
                             Linear<path::value, column_groups, E, HK>, Linear<path::attention_out, row_groups, HQ, E>>;
  using DenseBlock =
      nn::GatedFeedForward<Linear<path::linear, column_groups, E, F>, Linear<path::linear_v, column_groups, E, F>,
                           Linear<path::linear_1, row_groups, F, E>, nn::GeluTanh>;
  using Experts = nn::GatedFeedForward<Linear<path::moe_linear, column_groups, X, E, F>,
                                       Linear<path::moe_linear_v, column_groups, X, E, F>,
                                       Linear<path::moe_linear_1, row_groups, X, F, E>, nn::GeluTanh>;
  using Router = nn::Router<Param<packed<f32>, Shape<E, X>, path::router>, typename detail::routing<C>::type>;
  using MoELayer = nn::MoELayer<Router, Experts>;
  // [/quote]

  // [quote:stream]
  /// The residual stream [B, T, E]. Activations are f32 up to the caches: XLA keeps most of the reference's bf16 values
  /// unrounded too. Sharded over `model` too (shard_activations), every norm sums one f32 a token over it.
  using Stream = std::conditional_t<c.shard_activations, P<data, None, model>, P<data, None, None>>;
  using Cache =
      nn::KVCache<ShardedTensor<typename detail::cache_type<C>::type, Shape<dyn, dyn, c.num_kv_heads, c.key_size>, M,
                                P<data, None, KeyValueAxis, None>, D>>;
  using Tokens = ShardedTensor<i32, Shape<dyn, dyn>, M, P<None, None>, D>;
  using Logits = P<data, None, None>;
  // [/quote]
};

/// The reference numbers its linear layers: the gate, the un-activated branch, the way down. `scope` ends in "moe" for
/// experts. Attention's way out is "linear".
template <class Block, class F>
constexpr void feed_forward_parameters(Block& block, const nn::Scope& scope, F&& f) {
  block.gate.parameters(scope / "linear", f);
  block.up.parameters(scope / "linear_v", f);
  block.down.parameters(scope / "linear_1", f);
}

template <class Block, class F>
constexpr void attention_parameters(Block& block, const nn::Scope& scope, F&& f) {
  block.query.parameters(scope / "query", f);
  block.key.parameters(scope / "key", f);
  block.value.parameters(scope / "value", f);
  block.output.parameters(scope / "linear", f);
}

/// x + rms_norm(f(rms_norm(x))) twice, for attention and the feed-forward block: sandwich norms.
template <AnyConfig C, AnyMesh M, class D>
struct DecoderLayer {
  using T = Types<C, M, D>;
  static constexpr bool is_moe = C::value.model.is_moe();

  typename T::MHABlock attention{};
  std::conditional_t<is_moe, typename T::MoELayer, typename T::DenseBlock> feed_forward{};
  typename T::Norm norm{};    // before attention
  typename T::Norm norm_1{};  // after it
  typename T::Norm norm_2{};  // before the feed-forward block
  typename T::Norm norm_3{};  // after it

  // [quote:layer]
  template <class X, class How = nn::WeightStationary>
  constexpr X operator()(D& dev, const X& h, typename T::Cache& cache, Segments rows, How how = {}) const {
    const auto attended =
        reshard<typename T::Stream>(dev, attention(dev, norm(dev, h), cache, rows, how));  // [B, T, E]
    const auto [h1, normed] = nn::add_normed(dev, h, attended, norm_1, norm_2);
    const auto fed = reshard<typename T::Stream>(dev, feed_forward(dev, normed, how));
    return nn::add_normed(dev, h1, fed, norm_3);
  }
  // [/quote]

  /// f(path, tensor) for every parameter, by the reference's Haiku paths.
  template <class F>
  constexpr void parameters(const nn::Scope& scope, F&& f) {
    attention_parameters(attention, scope / "multi_head_attention", f);
    if constexpr (is_moe) {
      feed_forward_parameters(feed_forward.experts, scope / "moe", f);
      feed_forward.router.parameters(scope / "router", f);
    } else {
      feed_forward_parameters(feed_forward, scope, f);
    }
    norm.parameters(scope / "rms_norm", f);
    norm_1.parameters(scope / "rms_norm_1", f);
    norm_2.parameters(scope / "rms_norm_2", f);
    norm_3.parameters(scope / "rms_norm_3", f);
  }
};

/// The same layer on the device that stores nothing: parameters of the same sizes, and the numbers that a bill depends
/// on.
template <AnyConfig C, AnyMesh M, class D>
constexpr DecoderLayer<C, M, Dry> on_dry(DecoderLayer<C, M, D> layer) {
  if constexpr (std::is_same_v<D, Dry>) {
    return layer;
  } else {
    struct Sizes {
      std::array<index_t, max_rank> extents{};
      index_t scale_groups = 1;
    };
    std::vector<Sizes> sizes;
    layer.parameters({}, [&](const nn::Scope&, const auto& tensor) {
      Sizes& s = sizes.emplace_back();
      std::copy_n(tensor.extents().array().begin(), tensor.rank, s.extents.begin());
      if constexpr (requires { tensor.storage().scale_groups(tensor.extent(tensor.rank - 2)); })
        s.scale_groups = tensor.storage().scale_groups(tensor.extent(tensor.rank - 2));
    });
    DecoderLayer<C, M, Dry> dry;
    std::size_t next = 0;
    dry.parameters({}, [&](const nn::Scope&, auto& tensor) {
      using X = std::remove_reference_t<decltype(tensor)>;
      const Sizes& s = sizes[next++];
      std::array<index_t, static_cast<std::size_t>(X::rank)> all{};
      std::copy_n(s.extents.begin(), X::rank, all.begin());
      tensor = X(Extents<typename X::shape>::from(all), {});
      tensor.storage().set_scale_groups(s.scale_groups);
    });
    dry.attention.query_heads = layer.attention.query_heads;
    dry.attention.key_value_heads = layer.attention.key_value_heads;
    if constexpr (C::value.model.is_moe()) {
      dry.feed_forward.expert_count = layer.feed_forward.expert_count;
      dry.feed_forward.router.selected = layer.feed_forward.router.selected;
    }
    return dry;
  }
}

/// What one layer costs under a strategy: tokens [B, T], a cache [S, C, HK, D].
template <AnyConfig C, AnyMesh M, AnyShape S, class How>
constexpr Cost layer_bill(const DecoderLayer<C, M, Dry>& layer, const Extents<Shape<dyn, dyn>>& tokens,
                          const Extents<S>& cache_extents, Segments rows, How how) {
  using T = Types<C, M, Dry>;
  using X = ShardedTensor<f32, Shape<dyn, dyn, T::E>, M, typename T::Stream>;
  using Cache = decltype(T::Cache::keys);
  Dry dev;
  const auto x = make<X>(dev, Extents<typename X::shape>::from({tokens[0], tokens[1], layer.norm.scale.extent(0)}));
  typename T::Cache cache{Cache(cache_extents, {}), Cache(cache_extents, {})};
  (void)layer(dev, x, cache, rows, how);
  return dev.cost;
}

/// The caches of all layers: [slots, capacity, kv heads, key size], zero bytes on a device that stores nothing.
template <AnyConfig C, AnyMesh M, class D>
struct Memory {
  static constexpr index_t layers_known = C::value.model.num_layers;
  using Cache = typename Types<C, M, D>::Cache;
  using Layers =
      std::conditional_t<layers_known == dyn, std::vector<Cache>,
                         std::array<Cache, layers_known == dyn ? 1 : static_cast<std::size_t>(layers_known)>>;
  Layers layers{};
};

template <AnyConfig C, AnyMesh M, class D>
struct Transformer {
  nn::Repeat<C::value.model.num_layers, DecoderLayer<C, M, D>> layers{};

  template <class X, class How = nn::WeightStationary>
  constexpr X operator()(D& dev, const X& h, Memory<C, M, D>& memory, Segments rows, How how = {}) const {
    return layers(dev, h, nn::per_layer(memory.layers), rows, how);
  }
  template <class F>
  constexpr void parameters(F&& f) {
    layers.parameters(nn::Scope("transformer/decoder_layer_"), f);
  }
};

/// Tied embeddings: tokens to vectors, vectors to logits.
template <AnyConfig C, AnyMesh M, class D>
using InOutEmbed = nn::Embedding<ShardedTensor<table<bf16>, Shape<C::value.vocab_size, C::value.model.emb_size>, M,
                                               spec_for<PARTITION_RULES, path::embeddings>, D>>;

/// The two multipliers: of the embedding, and of logits that are rounded to bf16 first.
struct Times {
  f32 factor;
  constexpr f32 operator()(f32 v) const { return v * factor; }
};
struct RoundedTimes {
  f32 factor;
  constexpr f32 operator()(f32 v) const { return bf16(v) * factor; }
};

/// Which logits a call returns: of every token, or of the last one of each row.
enum class Positions { all, last };

template <AnyConfig C, AnyMesh M, class D>
struct LanguageModel {
  using T = Types<C, M, D>;
  using config_type = C;
  using mesh = M;
  using device = D;
  static constexpr index_t batch_parts = M::template size_along<data>;

  LanguageModelConfig config = C::value;
  InOutEmbed<C, M, D> in_out_embed{};
  Transformer<C, M, D> transformer{};
  typename T::FinalNorm rms_norm{};

  constexpr LanguageModel() : LanguageModel(C::value) {}
  /// For a type with dyn sizes: the numbers. Layers, heads, experts and constants are set everywhere they are used.
  constexpr explicit LanguageModel(const LanguageModelConfig& numbers) : config(numbers) {
    const TransformerConfig& c = numbers.model;
    if constexpr (C::value.model.num_layers == dyn)
      if (c.num_layers != dyn) transformer.layers.blocks.resize(static_cast<std::size_t>(c.num_layers));
    rms_norm.eps = static_cast<f32>(c.rms_norm_eps);
    for (auto& layer : transformer.layers.blocks) {
      for (f32* eps : {&layer.norm.eps, &layer.norm_1.eps, &layer.norm_2.eps, &layer.norm_3.eps}) *eps = rms_norm.eps;
      layer.attention.query_heads = c.num_q_heads;
      layer.attention.key_value_heads = c.num_kv_heads;
      layer.attention.rotary.base = static_cast<f32>(c.rope_base);
      layer.attention.rotary.rounded = true;  // as the reference has its angles
      layer.attention.options = {static_cast<f32>(c.attn_output_multiplier), static_cast<f32>(c.max_attn_value)};
      if constexpr (C::value.model.is_moe()) {
        layer.feed_forward.expert_count = c.num_experts;
        layer.feed_forward.router.selected = c.num_selected_experts;
      }
    }
  }

  /// An empty memory for `slots` sequences of up to `capacity` tokens. The slots are sharded over `data`.
  constexpr Memory<C, M, D> init_memory(D& dev, index_t slots, index_t capacity) const {
    Memory<C, M, D> memory;
    if constexpr (C::value.model.num_layers == dyn) memory.layers.resize(transformer.layers.blocks.size());
    using Cache = decltype(memory.layers[0].keys);
    const auto extents =
        Extents<typename Cache::shape>::from({slots, capacity, config.model.num_kv_heads, config.model.key_size});
    for (auto& layer : memory.layers) {
      layer.keys = make_state<Cache>(dev, extents);
      layer.values = make_state<Cache>(dev, extents);
    }
    return memory;
  }

  /// tokens i32 [B, T] (rows as in `rows`) -> logits f32 [B, T, V], or [B, 1, V] of each row's last token; P<data,
  /// None, None>. The memory grows by every row's count. The multipliers are rounded to bf16, as JAX rounds them:
  /// 78.38… is 78.5. So are the products with the embeddings, once; times the multiplier they are exact in f32, as XLA
  /// hands them to the sampler.
  /// Weights stay or are gathered as the configuration says for the phase, or as the bill of this very pass does.
  template <Positions Which = Positions::last>
  constexpr auto operator()(D& dev, const typename T::Tokens& tokens, Memory<C, M, D>& memory, Segments rows) const {
    if constexpr (batch_parts > 1)
      if (gathers(tokens, memory, rows)) return pass<Which>(dev, tokens, memory, rows, nn::Gathered{});
    return pass<Which>(dev, tokens, memory, rows, nn::WeightStationary{});
  }

  /// Which of the two it is. One layer decides: all are equal, and the rest of the model is the same under both.
  constexpr bool gathers(const typename T::Tokens& tokens, const Memory<C, M, D>& memory, Segments rows) const {
    return tokens.extent(1) > 1 ? gathers<typename detail::prefill_strategy<C>::type>(tokens, memory, rows)
                                : gathers<typename detail::decode_strategy<C>::type>(tokens, memory, rows);
  }

  /// The same under a strategy that the caller chooses.
  template <Positions Which = Positions::last, class How = nn::WeightStationary>
  constexpr auto pass(D& dev, const typename T::Tokens& tokens, Memory<C, M, D>& memory, Segments rows,
                      How how = {}) const {
    const auto embedded = reshard<typename T::Stream>(dev, in_out_embed(dev, tokens));  // [B, T, E]
    const f32 in = bf16(static_cast<f32>(config.embedding_multiplier_scale)),
              out = bf16(static_cast<f32>(config.output_multiplier_scale));
    const auto h = transformer(dev, map<f32>(dev, Times{in}, embedded), memory, rows, how);
    const auto head = [&](const auto& x) {
      const auto logits = in_out_embed.template attend<typename T::Logits>(dev, rms_norm(dev, x));
      return map<f32>(dev, RoundedTimes{out}, logits);  // [B, T or 1, V]
    };
    if constexpr (Which == Positions::all) return head(h);
    else return head(select_token(dev, h, LastToken{rows}));
  }

  template <class F>
  constexpr void parameters(F&& f) {
    in_out_embed.parameters(nn::Scope("language_model/in_out_embed"), f);
    rms_norm.parameters(nn::Scope("language_model/rms_norm"), f);
    transformer.parameters(f);
  }

 private:
  template <class Strategy>
  constexpr bool gathers(const typename T::Tokens& tokens, const Memory<C, M, D>& memory, Segments rows) const {
    if constexpr (!std::is_same_v<Strategy, ByBill>) {
      return std::is_same_v<Strategy, nn::Gathered>;
    } else if (transformer.layers.blocks.size() == 0) {
      return false;
    } else {
      const auto layer = on_dry(transformer.layers.blocks[0]);
      return nn::is_cheaper<nn::Gathered, nn::WeightStationary>(
          [&](auto how) { return layer_bill(layer, tokens.extents(), memory.layers[0].keys.extents(), rows, how); });
    }
  }
};

}  // namespace grok1
