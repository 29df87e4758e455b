// MultiHeadAttention: grouped-query attention with rotary positions over a key/value cache, prefill and decode alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/attention.hpp"
#include "../ops/reshape.hpp"
#include "linear.hpp"
#include "rotary_embedding.hpp"

namespace tess::nn {

/// Query heads, key/value heads, width of a head: numbers, or dyn with run-time values in the layer.
template <index_t Query, index_t KeyValue, index_t Width>
struct Heads {
  static constexpr index_t query = Query, key_value = KeyValue, width = Width;
  static_assert(Query == dyn || KeyValue == dyn || Query % KeyValue == 0,
                "[attention] the number of query heads is a multiple of the number of key/value heads");
};

/// What a layer remembers of the tokens it has seen: keys (rotated) and values, [S, C, HK, D] for S sequences of up to
/// C tokens; bf16, or f32 where nothing may be rounded.
template <AnyTensor C>
struct KVCache {
  using value_type = typename C::value_type;
  C keys{}, values{};
};

/// x [B, T, E] P<b, None, *> -> f32 [B, T, E] P<b', None, n, Partial<k>>, where w_o is P<k, n>: the caller finishes the
/// sum into the spec it wants. Weights: query [E, HQ·D], key and value [E, HK·D] P<e, h>, linear [HQ·D, E] P<h, n>;
/// heads are sharded over h, whole heads a device. The cache is P<b, None, h, None>.
/// Bytes: x to P<.., e>, the projections' sums over e, and the batch to w_o's axes; none of them on a mesh that shards
/// only heads. Keys and values are rounded once, into the cache's type; everything else stays in f32.
/// Options: scale and cap (cap · tanh(score / cap), 0 for none).
/// Source: Vaswani et al., arXiv 1706.03762; Ainslie et al., arXiv 2305.13245; Grok-1's model.py, class
/// MultiHeadAttention.
template <class H, class Query, class Key, class Value, class Output, class Rotary = RotaryEmbedding<>>
struct MultiHeadAttention {
  Query query{};
  Key key{};
  Value value{};
  Output linear{};
  Rotary rotary{};
  AttentionOptions options{};
  index_t query_heads = H::query, key_value_heads = H::key_value;  // to be set where the type says dyn

  template <class D, class X, class Cache>
  constexpr auto operator()(D& dev, const X& x, Cache& cache, Segments rows) const {
    const auto in = reshard<contracting_spec<X, decltype(query.weight)>>(dev, x);  // [B, T, E]
    const auto v = heads<H::key_value>(project<head_spec<X, Key>>(dev, value, in), key_value_heads);
    append_to_cache(dev, cache.values, cast<typename Cache::value_type>(dev, v), rows);  // [B, T, HK, D]
    const auto k = heads<H::key_value>(project<head_spec<X, Key>>(dev, key, in), key_value_heads);
    append_to_cache(dev, cache.keys, cast<typename Cache::value_type>(dev, rotary(dev, k, rows)), rows);
    const auto q = heads<H::query>(project<head_spec<X, Query>>(dev, query, in), query_heads);
    const auto mixed =
        attention<f32>(dev, rotary(dev, q, rows), cache.keys, cache.values, rows, options);  // [B, T, HQ, D]
    const auto joined = merge<2>(mixed);                                                     // [B, T, HQ·D]
    return linear(dev, reshard<contracting_spec<decltype(joined), decltype(linear.weight)>>(dev, joined));
  }

  template <class F>
  void parameters(const Scope& scope, F&& f) {
    query.parameters(scope / "query", f);
    key.parameters(scope / "key", f);
    value.parameters(scope / "value", f);
    linear.parameters(scope / "linear", f);
  }

 private:
  template <class X, class L>
  using head_spec = projected_spec<X, decltype(L::weight)>;

  template <index_t N, class Y>
  static constexpr auto heads(const Y& y, index_t n) {
    return split<2, N, H::width>(y, n);
  }
};

}  // namespace tess::nn
