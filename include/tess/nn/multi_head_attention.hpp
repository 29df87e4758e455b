// MultiHeadAttention: grouped-query attention with rotary positions over a key/value cache, prefill and decode alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/attention.hpp"
#include "../ops/reshape.hpp"
#include "bills_alike.hpp"
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

/// Key/value heads that are fewer than the devices over which the columns of their weights are cut.
template <class Heads, class Over, class Into, class Remedy>
struct key_value_heads_do_not_divide {
  static_assert(
      tess::detail::always_false<Heads>,
      "[attention] key/value heads must divide over the devices that hold their columns: give several devices the "
      "same heads. Declare the axis in two parts and shard key, value and cache over the major one, e.g. "
      "Axis<model, 8, 2> and Sub<model, 1, 8>");
  static constexpr bool ok = true;
};

namespace detail {
/// The largest part of `devices` that divides the heads: that many devices hold different ones.
constexpr index_t distinct_holders(index_t heads, index_t devices) {
  index_t n = devices;
  while (heads % n != 0 || devices % n != 0) --n;
  return n;
}
template <class Entry>
struct first_name {
  using type = Entry;
};
template <class Name, class... More>
struct first_name<Axes<Name, More...>> {
  using type = Name;
};
template <index_t Heads, class W>
constexpr auto key_value_fact_of() {
  using M = typename W::mesh;
  constexpr index_t devices = parts<M>(W::sharding[W::rank - 1]);
  if constexpr (Heads == dyn || Heads % devices == 0) {
    return std::type_identity<nothing_wrong>{};
  } else {
    using entry = tess::detail::dim_entry<M, tess::detail::spec_holder<typename W::spec, M, W::rank>, W::rank - 1>;
    using remedy = Sub<typename first_name<entry>::type, 1, distinct_holders(Heads, devices)>;
    return std::type_identity<
        key_value_heads_do_not_divide<extent<Heads>, over<entry>, into<devices>, spec<P<None, None, remedy>>>>{};
  }
}
template <index_t Heads, class W>
using key_value_fact = typename decltype(key_value_fact_of<Heads, W>())::type;
/// A free function, since clang 14 names a mistake twice inside a member template.
template <index_t Heads, class W>
constexpr void check_key_value_heads() {
  static_assert(key_value_fact<Heads, W>::ok);
}
}  // namespace detail

/// Queries and keys as they are projected.
struct NoNorm {};

/// What a layer remembers of the tokens it has seen: keys (rotated) and values, [S, C, HK, D] for S sequences of up to
/// C tokens; bf16, or f32 where nothing may be rounded.
template <AnyTensor C>
struct KVCache {
  using value_type = typename C::value_type;
  using tensor = C;
  C keys{}, values{};
};

/// x [B, T, E] P<b, None, *> -> f32 [B, T, E] P<b', None, n, Partial<k>>, where w_o is P<k, n>: the caller finishes the
/// sum into the spec it wants. Weights: query [E, HQ·D], key and value [E, HK·D] P<e, h>, output [HQ·D, E] P<h, n>;
/// heads are sharded over h, whole heads a device. The cache is P<b, None, h, None>. Where HK does not divide over h,
/// key, value and cache lie over h' instead, the major part of h: neighbouring devices hold the same key/value heads.
/// Strategy: that of the projections; where they say InPlace, weights stay at rest (nn/strategy.hpp).
/// Bytes: x to P<.., e>, the projections' sums over e, and the batch to w_o's axes, or else the gathered weights; none
/// of them on a mesh that shards only heads. Keys and values are rounded once, into the cache's type; everything else
/// stays in f32. Options: scale (1 unless the model sets it, to 1/√D as a rule), cap (cap · tanh(score / cap), 0 for
/// none), window (0 for none).
/// HeadNorm: of the D values of every query and key head, before they turn; each has a scale of its own. Sinks: f32 [HQ]
/// P<h>, for the softmax of every head (ops/attention.hpp).
/// Source: Vaswani et al., arXiv 1706.03762; Ainslie et al., arXiv 2305.13245; Grok-1's model.py, class
/// MultiHeadAttention; query/key norms: Dehghani et al., arXiv 2302.05442, and Qwen3, arXiv 2505.09388.
template <class H, class Query, class Key, class Value, class Output, class Rotary = RotaryEmbedding<>,
          class Strategy = or_stationary<typename Query::strategy>, class HeadNorm = NoNorm, class Sinks = NoSinks>
struct MultiHeadAttention {
  using strategy = Strategy;
  Query query{};
  Key key{};
  Value value{};
  Output output{};
  Rotary rotary{};
  [[no_unique_address]] HeadNorm query_norm{}, key_norm{};
  [[no_unique_address]] Sinks sinks{};
  AttentionOptions options{};
  index_t query_heads = H::query, key_value_heads = H::key_value, head_width = H::width;  // to be set where dyn

  template <class D, class X, class Cache, class How = Strategy>
  constexpr auto operator()(D& dev, const X& x, Cache& cache, Segments rows, How how = {}) const {
    detail::check_key_value_heads<H::key_value, decltype(key.weight)>();
    if constexpr (!std::is_same_v<detail::key_value_fact<H::key_value, decltype(key.weight)>, nothing_wrong>) {
      return with_type<reduced_type<X>, f32>{};
    } else {
      const auto in = reshard<typename How::template input_spec<X, decltype(query.weight)>>(dev, x);  // [B, T, E]
      const auto q = remember<X>(dev, in, cache, rows, how);
      const auto mixed = attention<f32>(dev, q, cache.keys, cache.values, rows, options, sinks);  // [B, T, HQ, D]
      return output(dev, merge<2>(mixed), how);  // [B, T, HQ·D] -> [B, T, E]
    }
  }

  /// An empty cache for `slots` sequences of up to `capacity` tokens.
  template <class Cache, class D>
  constexpr Cache empty_cache(D& dev, index_t slots, index_t capacity) const {
    using C = typename Cache::tensor;
    if (query_heads == dyn || key_value_heads == dyn || head_width == dyn)
      fail("[attention] query_heads, key_value_heads and head_width are to be set where the type says dyn");
    const auto extents = Extents<typename C::shape>::from({slots, capacity, key_value_heads, head_width});
    return {make_state<C>(dev, extents), make_state<C>(dev, extents)};
  }

  constexpr bool bills_as(const MultiHeadAttention& o) const { return options.window == o.options.window; }

  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    query.parameters(scope / "query", f);
    key.parameters(scope / "key", f);
    value.parameters(scope / "value", f);
    output.parameters(scope / "output", f);
    if constexpr (!std::is_same_v<HeadNorm, NoNorm>) {
      query_norm.parameters(scope / "query_norm", f);
      key_norm.parameters(scope / "key_norm", f);
    }
    if constexpr (!std::is_same_v<Sinks, NoSinks>) f(scope / "sinks", sinks);
  }

 private:
  template <class X, class L>
  using head_spec = projected_spec<X, decltype(L::weight)>;

  template <index_t N, class Y>
  static constexpr auto heads(const Y& y, index_t n) {
    return split<2, N, H::width>(y, n);
  }
  /// Keys and values of the new tokens go to the cache -> the queries, turned [B, T, HQ, D].
  template <class X, class D, class In, class Cache, class How>
  constexpr auto remember(D& dev, const In& in, Cache& cache, Segments rows, How how) const {
    using C = typename Cache::value_type;
    const auto v = heads<H::key_value>(project<head_spec<X, Key>>(dev, value, in, how), key_value_heads);
    if constexpr (std::is_same_v<Rotary, RotaryEmbedding<>> &&
                  RotatesAndAppends<D, decltype(v), decltype(v), decltype(v), typename Cache::tensor>) {
      const auto k = heads<H::key_value>(project<head_spec<X, Key>>(dev, key, in, how), key_value_heads);
      const auto q = heads<H::query>(project<head_spec<X, Query>>(dev, query, in, how), query_heads);
      return rotate_and_append<f32>(dev, normed(dev, query_norm, q), normed(dev, key_norm, k), v, cache.keys,
                                    cache.values, rows, rotary);
    } else {
      append_to_cache(dev, cache.values, cast<C>(dev, v), rows);  // [B, T, HK, D]
      const auto k = heads<H::key_value>(project<head_spec<X, Key>>(dev, key, in, how), key_value_heads);
      append_to_cache(dev, cache.keys, cast<C>(dev, rotary(dev, normed(dev, key_norm, k), rows)), rows);
      const auto q = heads<H::query>(project<head_spec<X, Query>>(dev, query, in, how), query_heads);
      return rotary(dev, normed(dev, query_norm, q), rows);
    }
  }
  template <class D, class Y>
  static constexpr auto normed(D& dev, const HeadNorm& norm, const Y& y) {
    if constexpr (std::is_same_v<HeadNorm, NoNorm>) return y;
    else return norm(dev, y);
  }
};

}  // namespace tess::nn
