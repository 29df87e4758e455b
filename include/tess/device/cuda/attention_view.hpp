// AttentionView: what attention kernels know, queries and a cache of one shard, and how they cut positions into parts.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>

#include "../../tensor/dtype.hpp"
#include "isa.hpp"
#include "step_inputs.hpp"

namespace tess::cuda {

/// Positions [begin, end) of a cache.
struct Positions {
  index_t begin = 0, end = 0;
  constexpr index_t size() const { return end > begin ? end - begin : 0; }
};

/// One call on one shard. Queries that share a key head are rows of one matrix, so that the positions they see are read
/// once: row t · group + i is query t of head key_head · group + i. Padding queries (t >= count) have output 0.
template <class Y, class Q, class C>
struct AttentionView {
  const Q* q = nullptr;             // [batch, queries, heads, key_width]
  const C* keys = nullptr;          // slot s, position p, head h at (s · capacity + p) · key_line + h · key_width
  const C* values = nullptr;        // the same with value_line and value_head
  Y* out = nullptr;                 // [batch, queries, heads, value_width]
  const f32* sinks = nullptr;       // [heads], or none
  const Row* batch_rows = nullptr;  // [batch]
  index_t first_slot = 0;           // the number of this shard's first slot in the batch
  index_t batch = 0, queries = 0, heads = 0, key_heads = 0, group = 1;
  index_t key_width = 0, value_width = 0;
  index_t capacity = 0, key_line = 0, value_line = 0, value_head = 0;
  f32 scale = 1, cap = 0;
  index_t window = 0;
  index_t splits = 1;      // parts of the positions, which different blocks take
  index_t together = 1;    // a part has a multiple of so many positions
  index_t tile_rows = 1;   // rows of a block
  index_t tiles = 1;       // of the rows of a key head
  f32* sums = nullptr;     // splits > 1: [batch, key_heads, rows, splits, value_width], weighted values
  f32* weights = nullptr;  // [batch, key_heads, rows, splits, 2]: the largest score, the sum of 2^(score - largest)

  __host__ __device__ index_t rows() const { return queries * group; }
  __device__ index_t first_seen(index_t position) const {
    return window > 0 && position >= window ? position - window + 1 : 0;
  }
  __device__ index_t query_of(index_t row) const {
    return static_cast<index_t>(static_cast<unsigned>(row) / static_cast<unsigned>(group));
  }
  __device__ index_t head_of(index_t key_head, index_t row) const {
    return key_head * group + row - query_of(row) * group;
  }
  /// Where a row's head lies among all [batch, queries, heads].
  __device__ index_t line_of(index_t b, index_t key_head, index_t row) const {
    return (b * queries + query_of(row)) * heads + head_of(key_head, row);
  }
  /// What some real query sees among rows [first, first + tile_rows).
  __device__ Positions seen(const Row& row, index_t first) const {
    const index_t from = query_of(first), to = std::min(query_of(first + tile_rows - 1), row.count - 1);
    return to < from ? Positions{} : Positions{first_seen(row.start + from), row.start + to + 1};
  }
  __device__ unsigned positions_of_a_part(const Positions& all) const {  // 32 bits: a long division takes 0.1 µs
    const auto n = static_cast<unsigned>(all.size()), parts = static_cast<unsigned>(splits),
               step = static_cast<unsigned>(together);
    return ((n + parts - 1) / parts + step - 1) / step * step;
  }
  /// The parts that have positions: at most `splits`. One part needs no sums: its block writes the result.
  __device__ index_t parts(const Positions& all) const {
    if (all.size() == 0) return 0;
    const unsigned each = positions_of_a_part(all);
    return (static_cast<unsigned>(all.size()) + each - 1) / each;
  }
  __device__ Positions part(const Positions& all, index_t i) const {
    const index_t each = positions_of_a_part(all);
    return {all.begin + i * each, std::min(all.begin + (i + 1) * each, all.end)};
  }
};

inline constexpr f32 log2_e = 1.44269504088896341f;

/// Scores times log2 e, since weights are powers of 2. Capped: cap · tanh(s / cap) = cap - 2 cap / (e^(2 s / cap) + 1), or,
/// where terms of bf16 round more than that, `Coarse` to 2^-11.
template <bool Coarse = false>
struct Scores {
  f32 factor, cap;  // cap in the same unit

  template <class View>
  __device__ explicit Scores(const View& a)
      : factor(a.cap > 0 ? (Coarse ? 1 : 2 * log2_e) * a.scale / a.cap : log2_e * a.scale), cap(a.cap * log2_e) {}
  __device__ f32 operator()(f32 product) const {
    const f32 x = product * factor;
    if (!(cap > 0)) return x;
    if constexpr (Coarse) return cap * approximate_tanh(x);
    else return cap - 2 * cap * reciprocal(exp2f(x) + 1);
  }
};

/// By what the sum of weighted values is multiplied in the end: 1 / (weight + 2^(sink - largest)), where the sink may be
/// far from the largest score.
template <class View>
__device__ inline f32 last_factor(const View& a, f32 weight, f32 largest, index_t head) {
  if (!a.sinks) return 1.0f / weight;
  const f32 sink = a.sinks[head] * log2_e, top = fmaxf(largest, sink), share = exp2f(largest - top);
  return share / (weight * share + exp2f(sink - top));
}

/// Of one block: its rows, and its part of the positions that they see.
struct AttentionBlock {
  index_t b, key_head, first_row, part_number;
  Row row;
  index_t parts;
  Positions part;

  template <class View>
  __device__ AttentionBlock(const View& a, unsigned head_of_batch, unsigned tile, unsigned part_of_it)
      : b(head_of_batch / static_cast<unsigned>(a.key_heads)),
        key_head(head_of_batch - b * a.key_heads),
        first_row(tile * a.tile_rows),
        part_number(part_of_it),
        row(a.batch_rows[b]) {
    const Positions all = a.seen(row, first_row);
    parts = a.parts(all);
    if (part_number < parts) part = a.part(all, part_number);
  }
  /// Block `number` of a grid of one dimension, which is the one that may be long: the parts of a tile beside one another,
  /// then the tiles of a key head, the longest ones first.
  template <class View>
  __device__ AttentionBlock(const View& a, unsigned number)
      : AttentionBlock(a, number / static_cast<unsigned>(a.splits) / static_cast<unsigned>(a.tiles),
                       static_cast<unsigned>(a.tiles) - 1 -
                           number / static_cast<unsigned>(a.splits) % static_cast<unsigned>(a.tiles),
                       number % static_cast<unsigned>(a.splits)) {}
  /// Where its slot begins in the cache.
  template <class View>
  __device__ index_t first_position(const View& a) const {
    return (row.slot - a.first_slot) * a.capacity;
  }
  /// Whether nothing is left to be computed: no position for it, or only padding, of which the output is zero.
  template <class View>
  __device__ bool is_done(const View& a) const {
    using Y = std::remove_cvref_t<decltype(*a.out)>;
    if (parts == 0 && part_number == 0)
      for (index_t r = first_row; r < first_row + a.tile_rows && r < a.rows(); ++r)
        for (index_t c = threadIdx.x; c < a.value_width; c += blockDim.x)
          a.out[a.line_of(b, key_head, r) * a.value_width + c] = Y{};
    return part_number >= parts;
  }
};

/// Where a row of a block is stored: as result, if the block has seen all positions, else as part of the sums.
template <class Y>
struct AttentionLine {
  Y* out = nullptr;
  f32* sums = nullptr;
  f32* weights = nullptr;
  f32 factor = 0, weight = 0, largest = 0;
  bool is_real;

  template <class View>
  __device__ AttentionLine(const View& a, const AttentionBlock& block, index_t row, f32 w, f32 l)
      : weight(w), largest(l), is_real(a.query_of(row) < block.row.count) {
    if (block.parts > 1) {
      const index_t at = ((block.b * a.key_heads + block.key_head) * a.rows() + row) * a.splits + block.part_number;
      sums = a.sums + at * a.value_width, weights = a.weights + 2 * at;
    } else {
      out = a.out + a.line_of(block.b, block.key_head, row) * a.value_width;
      factor = last_factor(a, w, l, a.head_of(block.key_head, row));
    }
  }
  __device__ void store_weight() const {
    if (weights) weights[0] = largest, weights[1] = weight;
  }
  __device__ void store(index_t column, f32 value) const {
    if (sums) sums[column] = value;
    else out[column] = static_cast<Y>(is_real ? value * factor : 0.0f);
  }
};
template <class View>
AttentionLine(const View&, const AttentionBlock&, index_t, f32, f32)
    -> AttentionLine<std::remove_cvref_t<decltype(*std::declval<View>().out)>>;

}  // namespace tess::cuda
