// Attention over a key/value cache: rotary positions, writing to the cache, and softmax(q·k)·v, blockwise.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/rotary_options.hpp"
#include "../sharding/rules/attention.hpp"
#include "elementwise.hpp"

namespace tess {

/// Row b of a batch is `count` new tokens of one sequence, which lives in cache row `slot` and already holds `start`
/// tokens. Tokens of the row beyond `count` are padding: they are computed, but seen by nobody and written nowhere.
struct Segment {
  index_t slot = 0, start = 0, count = 0;
};

/// The rows of a batch, in order; does not own.
class Segments {
 public:
  constexpr Segments() = default;
  constexpr Segments(const Segment* data, index_t size) : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr Segments(const Segment (&rows)[N]) : data_(rows), size_(static_cast<index_t>(N)) {}
  constexpr index_t size() const { return size_; }
  constexpr const Segment& operator[](index_t b) const { return data_[b]; }

 private:
  const Segment* data_ = nullptr;
  index_t size_ = 0;
};

/// Of each row of a batch the last new token; the first one of a row that has none.
struct LastToken {
  Segments rows;
  constexpr index_t operator()(index_t b) const { return rows[b].count > 0 ? rows[b].count - 1 : 0; }
};

/// score = q·k * scale, then cap * tanh(score / cap) unless cap is 0. A query sees the last `window` positions, its own
/// among them; 0: all of them (Beltagy et al., arXiv 2004.05150).
struct AttentionOptions {
  f32 scale = 1;
  f32 cap = 0;
  index_t window = 0;
};

/// In the place of a cache of values: they are the first `width` columns of the keys, which are read for both. So latent
/// attention caches a latent once (DeepSeek-V2, arXiv 2405.04434).
template <index_t Width>
struct KeyColumns {
  index_t width = Width;  // to be set where the type says dyn
};

/// In the place of sinks: there are none.
struct NoSinks {};

template <class Query, class Key>
struct heads_are_sharded_differently {
  static_assert(
      detail::always_false<Query>,
      "[attention] queries, keys and values must lie with batch and heads sharded alike (queries may use more "
      "minor axes for their heads) and with sequence and head width unsharded: reshard<> the projections, or "
      "declare the cache as they lie");
  static constexpr bool ok = true;
};
template <class Query, class Sinks>
struct sinks_are_sharded_differently {
  static_assert(detail::always_false<Query>,
                "[attention] sinks are one number a query head, f32 [heads], and lie as the queries' heads do: P<h> "
                "for queries P<b, None, h, None>");
  static constexpr bool ok = true;
};
template <class Query, class Key, class Into>
struct query_heads_straddle_key_heads {
  static_assert(detail::always_false<Query>,
                "[attention] the query heads of a device must be whole groups that share a key head, or lie within one "
                "group: shard the heads over fewer devices");
  static constexpr bool ok = true;
};

namespace detail {
template <class Q, class C>
constexpr rules::AttentionVerdict attention_verdict() {
  if (Q::rank != 4 || C::rank != 4) return {rules::AttentionFault::not_whole};
  return rules::attention(mesh_value<typename Q::mesh>, Q::sharding, C::sharding, static_extent<typename Q::shape>(2),
                          static_extent<typename C::shape>(2));
}
template <class Q, class C>
inline constexpr bool attention_is_local = attention_verdict<Q, C>().fault == rules::AttentionFault::none;

template <class Q, class C>
constexpr auto attention_fact_of() {
  constexpr auto fault = attention_verdict<Q, C>().fault;
  if constexpr (fault == rules::AttentionFault::none) return std::type_identity<nothing_wrong>{};
  else if constexpr (fault == rules::AttentionFault::heads_straddle)
    return std::type_identity<query_heads_straddle_key_heads<lhs<typename Q::shape>, rhs<typename C::shape>,
                                                             into<parts<typename Q::mesh>(Q::sharding[2])>>>{};
  else return std::type_identity<heads_are_sharded_differently<lhs<typename Q::spec>, rhs<typename C::spec>>>{};
}
template <class Q, class C>
using attention_fact = typename decltype(attention_fact_of<Q, C>())::type;

/// What is written to a cache lies exactly as the cache does.
template <class X, class C>
inline constexpr bool append_is_local = attention_is_local<X, C>&& placement(mesh_value<typename X::mesh>,
                                                                             X::sharding)[2] ==
                                        placement(mesh_value<typename X::mesh>, C::sharding)[2];

template <class V>
inline constexpr bool in_keys = false;
template <index_t Width>
inline constexpr bool in_keys<KeyColumns<Width>> = true;
/// Where the values are: V, or the keys themselves.
template <class K, class V>
using values_tensor = std::conditional_t<in_keys<V>, K, V>;

/// How wide the values are: columns of a tensor, or of the keys.
template <class V>
constexpr index_t static_value_width() {
  if constexpr (AnyTensor<V>) return static_extent<typename V::shape>(3);
  else return V{}.width;
}
template <class V>
constexpr index_t value_width(const V& values) {
  if constexpr (AnyTensor<V>) return values.extent(3);
  else return values.width;
}

template <class Q, class Sinks>
constexpr bool sinks_lie_with_heads() {
  if constexpr (std::is_same_v<Sinks, NoSinks>) return true;
  else
    return Sinks::rank == 1 && std::is_same_v<typename Sinks::value_type, f32> && !Sinks::sharding.partial &&
           placement(mesh_value<typename Q::mesh>, Sinks::sharding)[0] ==
               placement(mesh_value<typename Q::mesh>, Q::sharding)[2];
}
template <class Sinks>
constexpr auto spec_of_sinks() {
  if constexpr (AnyTensor<Sinks>) return std::type_identity<typename Sinks::spec>{};
  else return std::type_identity<P<>>{};
}
template <class Q, class Sinks>
using sinks_fact = holds_or<
    sinks_lie_with_heads<Q, Sinks>(),
    sinks_are_sharded_differently<lhs<typename Q::spec>, rhs<typename decltype(spec_of_sinks<Sinks>())::type>>>;

/// The rows of a batch and its cache rows must lie on the same devices: part p of the batch uses part p of the slots.
template <class Q, class C>
constexpr void check_segments(const Q& q, const C& cache, Segments rows) {
  const index_t groups = parts<typename Q::mesh>(Q::sharding[0]);
  if (rows.size() != q.extent(0))
    fail("[attention] ", rows.size(), " segments describe a batch of ", q.extent(0), " rows");
  for (index_t b = 0; b < rows.size(); ++b) {
    const Segment s = rows[b];
    if (s.count < 0 || s.count > q.extent(1))
      fail("[attention] row ", b, " has ", s.count, " new tokens, but the batch holds ", q.extent(1), " a row");
    if (s.slot < 0 || s.slot >= cache.extent(0) || s.slot / (cache.extent(0) / groups) != b / (q.extent(0) / groups))
      fail("[attention] row ", b, " uses cache slot ", s.slot, ", which is not among the slots of its devices (",
           cache.extent(0), " slots in ", groups, " parts)");
    if (s.start < 0 || s.start + s.count > cache.extent(1))
      fail("[attention] row ", b, " would grow to ", s.start + s.count, " tokens, but the cache holds ",
           cache.extent(1));
  }
}
template <AnyTensor X>
constexpr void check_rotary(const X& x, Segments rows, const RotaryOptions& options) {
  static_assert(X::rank == 4, "[rotary] x is [batch, tokens, heads, head width]");
  static_assert(rows_fact<X>::ok);
  const index_t width = options.width > 0 ? options.width : x.extent(3) - options.first;
  if (options.first < 0 || width % 2 != 0 || options.first + width > x.extent(3))
    fail("[rotary] ", width, " values from ", options.first, " on turn in pairs, but a head has ", x.extent(3));
  if (rows.size() != x.extent(0))
    fail("[rotary] ", rows.size(), " segments describe a batch of ", x.extent(0), " rows");
  if (!has_frequencies(options))
    fail("[rotary] base ", options.base, ", factor ", options.factor, ", ", options.original_positions,
         " original positions: no frequencies come of these options");
}
template <class C, class X>
constexpr void check_append(const C& cache, const X& x, Segments rows) {
  static_assert(holds_or<(append_is_local<X, C>),
                         heads_are_sharded_differently<lhs<typename X::spec>, rhs<typename C::spec>>>::ok);
  check_segments(x, cache, rows);
  if (x.extent(2) != cache.extent(2) || x.extent(3) != cache.extent(3))
    fail("[attention] ", x.extent(2), " heads of width ", x.extent(3), " are written to a cache of ", cache.extent(2),
         " heads of width ", cache.extent(3));
}
}  // namespace detail

/// Rotary position embedding of heads of D values, or of a part of each: pairs turn by position / base^(2i / D), or as
/// the options say (device/rotary_options.hpp). x [B, T, H, D]; token t of row b stands at rows[b].start + t. Computed in
/// f32, rounded once to Y.
/// Source: Su et al., arXiv 2104.09864; Grok-1's model.py, class RotaryEmbedding.
template <class Y, class D, AnyTensor X>
constexpr auto rotary(D& dev, const X& x, Segments rows, const RotaryOptions& options = {}) {
  detail::check_rotary(x, rows, options);
  using R = with_type<X, Y>;
  R y = make<R>(dev, x.extents());
  TESS_VERB(dev, rotary, y, x, rows, options);
  return y;
}

/// Writes x [B, T, H, D] to cache [S, C, H, D] at the rows' slots and positions. In place; rows beyond `count` are not
/// written.
template <class D, AnyTensor C, AnyTensor X>
constexpr void append_to_cache(D& dev, C& cache, const X& x, Segments rows) {
  detail::check_append(cache, x, rows);
  TESS_VERB(dev, append_to_cache, cache, x, rows);
}

/// Whether a device turns queries and keys and writes to the cache as one verb.
template <class D, class Q, class K, class V, class C>
concept RotatesAndAppends = requires(D& dev, Q& q, const K& k, const V& v, C& cache, Segments rows,
                                     RotaryOptions options) {
  dev.rotate_and_append(q, q, k, v, cache, cache, rows, options);
};

/// What a layer does with new tokens, as one verb of devices that have it: keys and values [B, T, HK, D] go to their
/// caches as append_to_cache writes them, keys turned; -> Y [B, T, HQ, D], the queries turned, as rotary has it.
template <class Y, class D, AnyTensor Q, AnyTensor K, AnyTensor V, AnyTensor C>
requires RotatesAndAppends<D, Q, K, V, C>
auto rotate_and_append(D& dev, const Q& q, const K& k, const V& v, C& keys, C& values, Segments rows,
                       const RotaryOptions& options = {}) {
  detail::check_rotary(q, rows, options);
  detail::check_rotary(k, rows, options);
  detail::check_append(keys, k, rows);
  detail::check_append(values, v, rows);
  using R = with_type<Q, Y>;
  R turned = make<R>(dev, q.extents());
  dev.rotate_and_append(turned, q, k, v, keys, values, rows, options);
  return turned;
}

/// q [B, T, HQ, D], keys [S, C, HK, D], values [S, C, HK, DV] (or `KeyColumns`) -> Y [B, T, HQ, DV]. Query t of row b
/// stands at start + t and sees the cache positions 0 ... start + t of its slot, or the last `window` of them. HQ is a
/// multiple of HK; query head h uses key head h / (HQ / HK). Softmax in f32, blockwise.
/// Sinks f32 [HQ]: one more score for every query of a head, with which the softmax is taken and which has no value, so
/// that the other weights sum to less than 1.
/// P<b, None, h, None> over P<b, None, h', None> -> the queries' spec; nothing moves. h' is h, or its first axes: heads
/// of keys that are fewer than the devices are replicated over the rest, e.g. `model` over Sub<model, 1, 8>.
/// Source: Ainslie et al., arXiv 2305.13245 (grouped queries); Milakov and Gimelshein, arXiv 1805.02867 (online
/// softmax); gpt-oss, arXiv 2508.10925, section 2.3 (learned sinks; Xiao et al., arXiv 2309.17453).
template <class Y, class D, AnyTensor Q, AnyTensor K, class V, class Sinks = NoSinks>
constexpr auto attention(D& dev, const Q& q, const K& keys, const V& values, Segments rows,
                         const AttentionOptions& options, const Sinks& sinks = {}) {
  static_assert(detail::attention_fact<Q, K>::ok);
  static_assert(detail::attention_fact<Q, detail::values_tensor<K, V>>::ok);
  static_assert(detail::sinks_fact<Q, Sinks>::ok);
  detail::check_segments(q, keys, rows);
  if (q.extent(2) % keys.extent(2) != 0)
    fail("[attention] ", q.extent(2), " query heads are not a multiple of ", keys.extent(2), " key heads");
  if (!rules::heads_are_uniform(q.local_extent(2), q.extent(2) / keys.extent(2)))
    fail("[attention] query_heads_straddle_key_heads: a device has ", q.local_extent(2),
         " query heads, which are neither whole groups of ", q.extent(2) / keys.extent(2), " nor part of one");
  if (q.extent(3) != keys.extent(3) || (detail::in_keys<V> && detail::value_width(values) > keys.extent(3)))
    fail("[attention] queries of width ", q.extent(3), " meet keys of width ", keys.extent(3), " with values of width ",
         detail::value_width(values));
  if (options.window < 0) fail("[attention] a window of ", options.window, " tokens");
  if (detail::value_width(values) < 1) fail("[attention] values of width ", detail::value_width(values));
  if constexpr (AnyTensor<V>)
    for (const int d : {0, 1, 2})
      if (values.extent(d) != keys.extent(d))
        fail("[attention] dimension ", d, " of the cached keys has extent ", keys.extent(d), ", of the values ",
             values.extent(d));
  if constexpr (AnyTensor<Sinks>)
    if (sinks.extent(0) != q.extent(2))
      fail("[attention] ", sinks.extent(0), " sinks for ", q.extent(2), " query heads");
  using S = detail::with_last<typename Q::shape, detail::static_value_width<V>()>;
  using R = ShardedTensor<Y, S, typename Q::mesh, typename Q::spec, D>;
  R y = make<R>(dev, detail::extents_with_last<S>(q.extents(), detail::value_width(values)));
  TESS_VERB(dev, attention, y, q, keys, values, sinks, rows, options);
  return y;
}

}  // namespace tess
