// Attention over a key/value cache: rotary positions, writing to the cache, and softmax(q·k)·v, blockwise.
// SPDX-License-Identifier: Apache-2.0
#pragma once
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

/// score = q·k * scale, then cap * tanh(score / cap) unless cap is 0.
struct AttentionOptions {
  f32 scale = 1;
  f32 cap = 0;
};

template <class Query, class Key>
struct heads_are_sharded_differently {
  static_assert(
      detail::always_false<Query>,
      "[attention] queries, keys and values must lie with batch and heads sharded alike (queries may use more "
      "minor axes for their heads) and with sequence and head width unsharded: reshard<> the projections");
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
}  // namespace detail

/// Rotary position embedding over the last dimension, half-split (NeoX): x·cos + rotate_half(x)·sin with the angle
/// position / base^(2i / D). x [B, T, H, D]; token t of row b stands at rows[b].start + t. Computed in f32, rounded
/// once to Y.
/// Source: Su et al., arXiv 2104.09864; Grok-1's model.py, class RotaryEmbedding.
template <class Y, class D, AnyTensor X>
constexpr auto rotary(D& dev, const X& x, Segments rows, f32 base) {
  static_assert(X::rank == 4, "[rotary] x is [batch, tokens, heads, head width]");
  static_assert(detail::rows_fact<X>::ok);
  using R = with_type<X, Y>;
  R y = make<R>(dev, x.extents());
  TESS_VERB(dev, rotary, y, x, rows, base);
  return y;
}

/// Writes x [B, T, H, D] to cache [S, C, H, D] at the rows' slots and positions. In place; rows beyond `count` are not
/// written.
template <class D, AnyTensor C, AnyTensor X>
constexpr void append_to_cache(D& dev, C& cache, const X& x, Segments rows) {
  static_assert(detail::holds_or<(detail::append_is_local<X, C>),
                                 heads_are_sharded_differently<lhs<typename X::spec>, rhs<typename C::spec>>>::ok);
  detail::check_segments(x, cache, rows);
  TESS_VERB(dev, append_to_cache, cache, x, rows);
}

/// q [B, T, HQ, D], keys and values [S, C, HK, D] -> Y [B, T, HQ, D]. Query t of row b stands at start + t and sees the
/// cache positions 0 ... start + t of its slot. HQ is a multiple of HK; query head h uses key head h / (HQ / HK).
/// Softmax in f32, blockwise.
/// P<b, None, h, None> over P<b, None, h', None> -> the queries' spec; nothing moves. h' is h, or its first axes: heads
/// of keys that are fewer than the devices are replicated over the rest, e.g. `model` over Sub<model, 1, 8>.
/// Source: Ainslie et al., arXiv 2305.13245 (grouped queries); Milakov and Gimelshein, arXiv 1805.02867 (online
/// softmax).
template <class Y, class D, AnyTensor Q, AnyTensor K, AnyTensor V>
constexpr auto attention(D& dev, const Q& q, const K& keys, const V& values, Segments rows, AttentionOptions options) {
  static_assert(detail::attention_fact<Q, K>::ok);
  static_assert(detail::attention_fact<Q, V>::ok);
  detail::check_segments(q, keys, rows);
  if (q.extent(2) % keys.extent(2) != 0)
    fail("[attention] ", q.extent(2), " query heads are not a multiple of ", keys.extent(2), " key heads");
  if (!rules::heads_are_uniform(q.local_extent(2), q.extent(2) / keys.extent(2)))
    fail("[attention] query_heads_straddle_key_heads: a device has ", q.local_extent(2),
         " query heads, which are neither whole groups of ", q.extent(2) / keys.extent(2), " nor part of one");
  using R = with_type<Q, Y>;
  R y = make<R>(dev, q.extents());
  TESS_VERB(dev, attention, y, q, keys, values, rows, options);
  return y;
}

}  // namespace tess
