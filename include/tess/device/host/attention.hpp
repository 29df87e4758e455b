// attention: causal attention of grouped queries over a key/value cache, blockwise with an online softmax.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "attention_kernels.hpp"
#include "buffer.hpp"
#include "gemm.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// One call. Query t of row b is at position start[b] + t and sees the cache positions 0 … start[b] + t of slot[b], or
/// the last `window` of them, which must hold its own key and value already. Query head h uses key/value head
/// h / (heads / kv_heads) of those given; a cache may hold more, then `k` and `v` point to the first one that is used.
/// Values may be wider than what is asked for, such as keys of which the first columns are the values.
template <class Y, class Q = bf16, class C = bf16>
struct Attention {
  index_t batch = 0, queries = 0;  // B rows of T queries
  index_t heads = 0, kv_heads = 0, head_dim = 0;
  index_t slots = 0, capacity = 0;  // of the cache
  index_t cached_heads = 0;         // at a position of the cache; 0: kv_heads
  const Q* q = nullptr;             // [batch, queries, heads, head_dim], bf16 or f32
  const C* k = nullptr;             // [slots, capacity, cached_heads, head_dim], bf16 or f32
  const C* v = nullptr;             // [slots, capacity, cached_heads, cached_value_dim]
  Y* out = nullptr;                 // [batch, queries, heads * value_dim], bf16 or f32
  const index_t* slot = nullptr;    // [batch]
  const index_t* start = nullptr;   // [batch], position of the row's first query
  const index_t* count = nullptr;   // [batch], real queries of the row; the output of the others is zero
  f32 scale = 1;                    // score = scale * q.k
  f32 cap = 0;                      // then cap * tanh(score / cap), unless 0
  index_t window = 0;               // positions that a query sees, its own the last; 0: all
  const f32* sinks = nullptr;       // [heads], or none: a score that every query of the head has besides, for no value
  index_t value_dim = 0;            // 0: head_dim
  index_t cached_value_dim = 0;     // 0: value_dim

  index_t value_width() const { return value_dim > 0 ? value_dim : head_dim; }
  index_t cached_value_width() const { return cached_value_dim > 0 ? cached_value_dim : value_width(); }
  /// The first position that a query at `position` sees.
  index_t first_seen(index_t position) const { return window > 0 && position >= window ? position - window + 1 : 0; }
};

namespace detail {

inline constexpr index_t split_positions = 1024;  // of the cache: one partial result, whoever computes it
inline constexpr index_t rows_together = 48;      // (query, head) pairs that share a key/value head

/// Queries [first, last) of batch row b for one key/value head.
struct AttentionItem {
  index_t b, kv_head, first, last;
};

/// Partial results of `rows` rows: sums of exp(score - largest) times v, and of exp(score - largest).
struct AttentionSums {
  f32* largest;  // [rows]
  f32* weight;   // [rows]
  f32* value;    // [value_dim / 32 rounded up][rows][32]
  static index_t size(index_t rows, index_t value_panels) { return rows * (2 + value_panels * panel_columns); }
  AttentionSums(f32* memory, index_t rows) : largest(memory), weight(memory + rows), value(memory + 2 * rows) {}
};

/// Adds `part`, of later positions, to `sums`.
inline void merge(const AttentionSums& sums, const AttentionSums& part, index_t rows, index_t value_panels) {
  for (index_t r = 0; r < rows; ++r) {
    if (part.weight[r] == 0.0f) continue;  // saw nothing
    const f32 largest = std::max(sums.largest[r], part.largest[r]);
    const f32 a = math::Exp::apply(sums.largest[r] - largest), b = math::Exp::apply(part.largest[r] - largest);
    sums.largest[r] = largest;
    sums.weight[r] = sums.weight[r] * a + part.weight[r] * b;
    for (index_t p = 0; p < value_panels; ++p)
      for (index_t c = 0; c < panel_columns; ++c) {
        const index_t at = (p * rows + r) * panel_columns + c;
        sums.value[at] = sums.value[at] * a + part.value[at] * b;
      }
  }
}

/// Computes items for one call; holds what is the same for all of them.
template <class Y, class Q, class C>
class AttentionTask {
 public:
  explicit AttentionTask(const Attention<Y, Q, C>& a)
      : a_(a),
        group_(a.heads / a.kv_heads),
        value_dim_(a.value_width()),
        value_panels_((value_dim_ + panel_columns - 1) / panel_columns),
        chunks_((a.head_dim + block_rows - 1) / block_rows),
        kernels_(choose_attention_kernels<C>(cpu())),
        block_(choose_method<f32, f32>(cpu(), Activations::two_terms).block) {}

  index_t value_panels() const { return value_panels_; }
  index_t queries_together() const { return std::max<index_t>(1, rows_together / group_); }
  index_t rows(const AttentionItem& item) const { return (item.last - item.first) * group_; }
  index_t sums_size(const AttentionItem& item) const { return AttentionSums::size(rows(item), value_panels_); }
  index_t positions(const AttentionItem& item) const { return a_.start[item.b] + item.last; }
  index_t first_seen(const AttentionItem& item) const { return a_.first_seen(a_.start[item.b] + item.first); }
  /// Of the cache, those that some query sees: [first_split, splits).
  index_t first_split(const AttentionItem& item) const { return first_seen(item) / split_positions; }
  index_t splits(const AttentionItem& item) const { return (positions(item) + split_positions - 1) / split_positions; }

  /// The partial result of one split of the cache.
  void run(const AttentionItem& item, index_t split, const AttentionSums& sums) const {
    const index_t rows = this->rows(item), D = a_.head_dim;
    const index_t q_size = chunks_ * rows * block_rows, k_size = 2 * D * panel_columns;
    const index_t v_size = value_panels_ * attention_block * panel_columns;
    const index_t score_size = rows * attention_block, p_size = rows * block_rows;
    struct Tiles;
    f32* const q = reinterpret_cast<f32*>(
        scratch<Tiles>((q_size + k_size + v_size + score_size + p_size) * static_cast<index_t>(sizeof(f32))));
    f32 *const k = q + q_size, *const v = k + k_size, *const score = v + v_size, *const p = score + score_size;
    load_queries(item, q);
    std::fill_n(sums.largest, rows, -std::numeric_limits<f32>::infinity());
    std::fill_n(sums.weight, rows, 0.0f);
    std::fill_n(sums.value, value_panels_ * rows * panel_columns, 0.0f);
    const index_t end = std::min(positions(item), (split + 1) * split_positions);
    const index_t cached_heads = a_.cached_heads ? a_.cached_heads : a_.kv_heads;
    const index_t k_step = cached_heads * D, v_step = cached_heads * a_.cached_value_width();
    const index_t first_block = first_seen(item) / attention_block * attention_block;
    for (index_t at = std::max(first_block, split * split_positions); at < end; at += attention_block) {
      const index_t count = std::min(attention_block, end - at), position = a_.slot[item.b] * a_.capacity + at;
      kernels_.load_keys(a_.k + position * k_step + item.kv_head * D, k_step, count, D, k);
      kernels_.load_values(a_.v + position * v_step + item.kv_head * a_.cached_value_width(), v_step, count, value_dim_,
                           v);
      std::fill_n(score, score_size, 0.0f);
      for (index_t c = 0; c < chunks_; ++c)
        for (index_t half = 0; half < 2; ++half)
          multiply(q + c * rows * block_rows, rows, k + (half * D + c * block_rows) * panel_columns,
                   std::min(block_rows, D - c * block_rows), score + half * rows * panel_columns);
      for (index_t r = 0; r < rows; ++r) {
        const index_t query = a_.start[item.b] + item.first + r / group_;
        const index_t hidden = std::max<index_t>(0, a_.first_seen(query) - at),
                      visible = std::min(count, query + 1 - at);
        if (visible <= hidden) {
          std::fill_n(p + r * block_rows, attention_block, 0.0f);
          continue;
        }
        const SoftmaxRow row{score + r * panel_columns,
                             rows * panel_columns,
                             hidden,
                             visible,
                             a_.scale,
                             a_.cap,
                             p + r * block_rows,
                             sums.largest + r,
                             sums.weight + r,
                             sums.value + r * panel_columns,
                             value_panels_};
        kernels_.softmax(row);
      }
      for (index_t panel = 0; panel < value_panels_; ++panel)
        multiply(p, rows, v + panel * attention_block * panel_columns, count,
                 sums.value + panel * rows * panel_columns);
    }
  }

  void store(const AttentionItem& item, const AttentionSums& sums) const {
    const index_t rows = this->rows(item);
    for (index_t r = 0; r < rows; ++r) {
      const index_t t = item.first + r / group_, head = item.kv_head * group_ + r % group_;
      Y* const out = a_.out + ((item.b * a_.queries + t) * a_.heads + head) * value_dim_;
      const f32 factor =
          a_.sinks ? beside_sink(sums.weight[r], sums.largest[r], a_.sinks[head]) : 1.0f / sums.weight[r];
      for (index_t d = 0; d < value_dim_; ++d)
        out[d] =
            static_cast<Y>(sums.value[(d / panel_columns * rows + r) * panel_columns + d % panel_columns] * factor);
    }
  }

 private:
  /// 1 / (weight + exp(sink - largest)), whichever of the two is the larger.
  static f32 beside_sink(f32 weight, f32 largest, f32 sink) {
    const f32 top = std::max(largest, sink), share = math::Exp::apply(largest - top);
    return share / (weight * share + math::Exp::apply(sink - top));
  }

  /// q[chunk][row][256], rows = (query, head of the group).
  void load_queries(const AttentionItem& item, f32* q) const {
    const index_t rows = this->rows(item);
    for (index_t r = 0; r < rows; ++r) {
      const index_t t = item.first + r / group_, head = item.kv_head * group_ + r % group_;
      const Q* from = a_.q + ((item.b * a_.queries + t) * a_.heads + head) * a_.head_dim;
      for (index_t d = 0; d < a_.head_dim; ++d) q[(d / block_rows * rows + r) * block_rows + d % block_rows] = from[d];
    }
  }

  void multiply(const f32* x, index_t rows, const f32* w, index_t depth, f32* y) const {
    block_({reinterpret_cast<const std::uint32_t*>(x), nullptr, rows, reinterpret_cast<const std::byte*>(w), depth,
            nullptr, y});
  }

  const Attention<Y, Q, C>& a_;
  index_t group_, value_dim_, value_panels_, chunks_;
  AttentionKernels<C> kernels_;
  BlockKernel block_;
};

template <class Y, class Q, class C>
void check(const Attention<Y, Q, C>& a) {
  if (a.kv_heads <= 0 || a.heads % a.kv_heads != 0 || a.head_dim <= 0)
    fail("attention: ", a.heads, " query heads of ", a.head_dim, " do not divide among ", a.kv_heads,
         " key/value heads.");
  if (a.value_width() > a.cached_value_width() || a.window < 0)
    fail("attention: ", a.value_width(), " columns of values of ", a.cached_value_width(), ", a window of ", a.window,
         ".");
  for (index_t b = 0; b < a.batch; ++b) {
    if (a.slot[b] < 0 || a.slot[b] >= a.slots)
      fail("attention: row ", b, " uses slot ", a.slot[b], " of a cache of ", a.slots, ".");
    if (a.start[b] < 0 || a.count[b] < 0 || a.count[b] > a.queries || a.start[b] + a.count[b] > a.capacity)
      fail("attention: row ", b, " has ", a.count[b], " of ", a.queries, " queries from position ", a.start[b],
           " on; the cache holds ", a.capacity, " positions.");
  }
}

}  // namespace detail

/// out = softmax(cap(scale * q k^T)) v, all in f32 over bf16 inputs. Memory: a few blocks of 64 positions a thread, never
/// [T, T]; blocks that no query sees are not read. The order of every sum depends on the position alone: a query's result is the same alone or in a batch, in a
/// prompt or decoded, with any number of threads. Throws `Error` if a row does not fit the cache.
template <class Y, class Q, class C>
void attention(ThreadPool& pool, const Attention<Y, Q, C>& a) {
  detail::check(a);
  const detail::AttentionTask<Y, Q, C> task(a);
  std::vector<detail::AttentionItem> items;
  index_t most_splits = 1;
  for (index_t b = 0; b < a.batch; ++b) {
    const index_t line = a.heads * a.value_width();
    std::fill(a.out + (b * a.queries + a.count[b]) * line, a.out + (b + 1) * a.queries * line, Y{});
    for (index_t first = 0; first < a.count[b]; first += task.queries_together())
      for (index_t h = 0; h < a.kv_heads; ++h) {
        items.push_back({b, h, first, std::min(a.count[b], first + task.queries_together())});
        most_splits = std::max(most_splits, task.splits(items.back()) - task.first_split(items.back()));
      }
  }
  const auto count = static_cast<index_t>(items.size());
  if (count >= 4 * pool.size() || most_splits == 1) {  // enough for all threads: each item's splits one after another
    pool.for_range(count, 1, [&](index_t begin, index_t) {
      struct Sums;
      const detail::AttentionItem& item = items[static_cast<std::size_t>(begin)];
      const index_t rows = task.rows(item), size = task.sums_size(item);
      f32* const memory = reinterpret_cast<f32*>(scratch<Sums>(2 * size * static_cast<index_t>(sizeof(f32))));
      const detail::AttentionSums sums(memory, rows), part(memory + size, rows);
      index_t s = task.first_split(item);
      task.run(item, s, sums);
      while (++s < task.splits(item)) {
        task.run(item, s, part);
        detail::merge(sums, part, rows, task.value_panels());
      }
      task.store(item, sums);
    });
    return;
  }
  struct Part {
    index_t item, split, at;
  };
  std::vector<Part> parts;
  index_t size = 0;
  for (index_t i = 0; i < count; ++i) {
    const auto& item = items[static_cast<std::size_t>(i)];
    for (index_t s = task.first_split(item); s < task.splits(item); ++s) {
      parts.push_back({i, s, size});
      size += task.sums_size(item);
    }
  }
  struct Parts;
  f32* const memory = reinterpret_cast<f32*>(scratch<Parts>(size * static_cast<index_t>(sizeof(f32))));
  pool.for_range(static_cast<index_t>(parts.size()), 1, [&](index_t begin, index_t) {
    const Part& part = parts[static_cast<std::size_t>(begin)];
    const auto& item = items[static_cast<std::size_t>(part.item)];
    task.run(item, part.split, detail::AttentionSums(memory + part.at, task.rows(item)));
  });
  for (std::size_t i = 0; i < parts.size();) {
    const auto& item = items[static_cast<std::size_t>(parts[i].item)];
    const index_t rows = task.rows(item);
    const detail::AttentionSums sums(memory + parts[i].at, rows);
    for (const index_t same = parts[i++].item; i < parts.size() && parts[i].item == same; ++i)
      detail::merge(sums, detail::AttentionSums(memory + parts[i].at, rows), rows, task.value_panels());
    task.store(item, sums);
  }
}

}  // namespace tess::host
