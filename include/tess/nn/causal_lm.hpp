// CausalLM: token ids to the logits of the next token, over layers that remember what they have seen.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "../ops/attention.hpp"
#include "../ops/create.hpp"
#include "../ops/elementwise.hpp"
#include "combinators.hpp"
#include "linear.hpp"

namespace tess::nn {

/// Which logits a pass returns: of every token, or of the last one of each row.
enum class Positions { all, last };

/// head(norm(layers(embed(tokens)))). `Layers` is Repeat<N, Layer> with a layer like DecoderLayer, called as
/// layer(dev, x, cache, rows); `Cache` is what a layer remembers (KVCache, LatentCache); `Stream` the spec P<b, None, None>
/// of the activations x f32 [B, T, H] between layers, and of the logits f32 [B, T, V].
template <class Embedding, class Layers, class Norm, class Head, class Cache, AnySpec Stream>
struct CausalLM {
  using Table = decltype(Embedding::table);
  using mesh = typename Table::mesh;
  using device = typename Table::device;
  using stream = Stream;
  using Tokens = ShardedTensor<i32, Shape<dyn, dyn>, mesh, P<None, None>, device>;
  using Memory = std::vector<Cache>;  // of each layer

  Embedding embed{};
  Layers layers{};
  Norm norm{};
  Head head{};

  /// The numbers that types may leave open: how many layers (where N is dyn), and the epsilon of every norm on the stream.
  constexpr void set_layers(index_t n, f64 eps) {
    if constexpr (requires { layers.blocks.resize(std::size_t{}); }) layers.blocks.resize(static_cast<std::size_t>(n));
    norm.eps = static_cast<f32>(eps);
    for (auto& layer : layers.blocks) layer.attention_norm.eps = layer.feed_forward_norm.eps = norm.eps;
  }

  /// An empty memory for `slots` sequences of up to `capacity` tokens, zero bytes on a device that stores nothing. The
  /// slots are sharded like the batch.
  constexpr Memory init_memory(device& dev, index_t slots, index_t capacity) const {
    Memory memory;
    for (const auto& layer : layers.blocks)
      memory.push_back(layer.attention.template empty_cache<Cache>(dev, slots, capacity));
    return memory;
  }

  /// tokens i32 [B, T] (rows as in `rows`) -> logits f32 [B, T, V], or [B, 1, V] of each row's last token. The memory grows
  /// by every row's count.
  template <Positions Which = Positions::last>
  constexpr auto operator()(device& dev, const Tokens& tokens, Memory& memory, Segments rows) const {
    const auto x = layers(dev, embedded(dev, tokens), per_layer(memory), rows);
    if constexpr (Which == Positions::all) return logits(dev, x);
    else return logits(dev, select_token(dev, x, LastToken{rows}));
  }

  /// The first step, as the layers want it. Activations are f32 from here on, whatever the table is.
  constexpr auto embedded(device& dev, const Tokens& tokens) const {
    auto x = reshard<Stream>(dev, embed(dev, tokens));
    if constexpr (std::is_same_v<typename decltype(x)::value_type, f32>) return x;
    else return map<f32>(dev, fn::Same{}, x);
  }
  /// The last step.
  template <class X>
  constexpr auto logits(device& dev, const X& x) const {
    return project<Stream>(dev, head, norm(dev, x));
  }

  template <class F>
  constexpr void parameters(F&& f) {
    embed.parameters(Scope("embed"), f);
    layers.parameters(Scope("layers_"), f);
    norm.parameters(Scope("norm"), f);
    head.parameters(Scope("head"), f);
  }
};

}  // namespace tess::nn
