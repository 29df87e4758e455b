// Packed: a weight matrix [K, N] in the order in which the matmul kernels read it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../../core/error.hpp"
#include "../../core/types.hpp"
#include "../../tensor/dtype.hpp"
#include "buffer.hpp"

namespace tess::host {

inline constexpr index_t panel_columns = 32;  // two vectors of 16
inline constexpr index_t block_rows = 256;    // at most; keeps a block's int32 and f32 sums exact and its panel in L1

/// A run of rows of K that is summed on its own, then scaled and added to the result: never across a scale group.
struct Block {
  index_t row;    // first row of K
  index_t rows;   // 1 … block_rows, before padding to a multiple of 4
  index_t word;   // first row of words in a panel
  index_t words;  // rows of words
  index_t group;  // scale group, local to this shard
  index_t padded_rows() const { return (rows + 3) / 4 * 4; }
};

/// Cuts K rows into blocks. Groups have `group_rows` rows; the first has lost `first_group_offset` of them to an
/// earlier
/// shard, the last may be cut as well. Every group is cut evenly into as few blocks as possible.
inline std::vector<Block> cut_into_blocks(index_t K, index_t group_rows, index_t first_group_offset,
                                          index_t rows_per_word) {
  std::vector<Block> blocks;
  index_t row = 0, word = 0;
  for (index_t group = 0; row < K; ++group) {
    const index_t end = std::min(K, (group + 1) * group_rows - first_group_offset);
    const index_t count = (end - row + block_rows - 1) / block_rows;
    const index_t rows = ((end - row + count - 1) / count + 3) / 4 * 4;
    for (; row < end; row += blocks.back().rows) {
      Block b{row, std::min(rows, end - row), word, 0, group};
      b.words = b.padded_rows() / rows_per_word;
      blocks.push_back(b);
      word += b.words;
    }
  }
  return blocks;
}

/// W[K, N] with elements E = f32, bf16, or int8 with bf16 scales in groups along K. Owns its memory; move-only.
///
/// Layout: panels of 32 columns, one after the other (the last padded with zeros). In a panel the blocks of K in order;
/// in a block rows of 32 words of 4 bytes, one word a column: one f32, two bf16 or four int8 that follow one another
/// along K (a block is padded with zeros to a multiple of 4 rows). int8 are stored as q + 128, unsigned, because
/// `vpdpbusd` multiplies u8 by s8. Scales: [panels, groups, 32] bf16.
template <class E>
class Packed {
  static_assert(std::is_same_v<E, f32> || std::is_same_v<E, bf16> || std::is_same_v<E, std::int8_t>);

 public:
  using element = E;
  static constexpr bool has_scales = std::is_same_v<E, std::int8_t>;
  static constexpr index_t rows_per_word = 4 / static_cast<index_t>(sizeof(E));
  static constexpr index_t word_row_bytes = panel_columns * 4;

  Packed() = default;

  /// Memory for a matrix, all zero bytes: `pack_q8` and its like fill it.
  Packed(index_t K, index_t N, index_t group_rows = 0, index_t first_group_offset = 0) : rows_(K), columns_(N) {
    if (group_rows == 0) group_rows = std::max<index_t>(K, 1);
    if (K < 0 || N < 0 || group_rows < 0 || first_group_offset < 0 || first_group_offset >= group_rows)
      fail("pack: K = ", K, ", N = ", N, ", group_rows = ", group_rows, ", first_group_offset = ", first_group_offset,
           ": expected K, N >= 0 and 0 <= first_group_offset < group_rows.");
    group_rows_ = group_rows, first_group_offset_ = first_group_offset;
    blocks_ = cut_into_blocks(K, group_rows, first_group_offset, rows_per_word);
    panels_ = (N + panel_columns - 1) / panel_columns;
    if (!blocks_.empty()) panel_bytes_ = (blocks_.back().word + blocks_.back().words) * word_row_bytes;
    words_ = Buffer(panels_ * panel_bytes_);
    if constexpr (has_scales) scales_ = Buffer(panels_ * groups() * panel_columns * static_cast<index_t>(sizeof(bf16)));
  }

  index_t rows() const { return rows_; }        // K
  index_t columns() const { return columns_; }  // N
  index_t panels() const { return panels_; }
  index_t panel_bytes() const { return panel_bytes_; }
  index_t groups() const { return blocks_.empty() ? 0 : blocks_.back().group + 1; }
  index_t group_rows() const { return group_rows_; }  // rows of K that share a scale; all without scales
  index_t first_group_offset() const { return first_group_offset_; }  // of them, rows that lie before this shard
  const std::vector<Block>& blocks() const { return blocks_; }
  index_t bytes() const { return words_.size() + scales_.size(); }

  std::byte* panel(index_t p) { return words_.data() + p * panel_bytes_; }
  const std::byte* panel(index_t p) const { return words_.data() + p * panel_bytes_; }

  /// The 32 scales of a panel in a group.
  bf16* scales(index_t p, index_t group) requires has_scales {
    return scales_.template as<bf16>() + (p * groups() + group) * panel_columns;
  }
  const bf16* scales(index_t p, index_t group) const requires has_scales {
    return scales_.template as<bf16>() + (p * groups() + group) * panel_columns;
  }

 private:
  index_t rows_ = 0, columns_ = 0, panels_ = 0, panel_bytes_ = 0;
  index_t group_rows_ = 1, first_group_offset_ = 0;
  std::vector<Block> blocks_;
  Buffer words_, scales_;
};

using PackedF32 = Packed<f32>;
using PackedBf16 = Packed<bf16>;
using PackedQ8 = Packed<std::int8_t>;

namespace detail {
/// Where element (k, n) lies in the words of w; `block` holds row k.
template <class E>
index_t element_offset(const Packed<E>& w, const Block& block, index_t k, index_t n) {
  const index_t row = k - block.row, word = block.word + row / Packed<E>::rows_per_word;
  return n / panel_columns * w.panel_bytes() + word * Packed<E>::word_row_bytes + n % panel_columns * 4 +
         row % Packed<E>::rows_per_word * static_cast<index_t>(sizeof(E));
}
/// The block that holds row k.
template <class E>
const Block& block_of(const Packed<E>& w, index_t k) {
  return *(std::upper_bound(w.blocks().begin(), w.blocks().end(), k,
                            [](index_t row, const Block& block) { return row < block.row; }) -
           1);
}

template <class E>
f32 element_at(const Packed<E>& w, const Block& block, index_t k, index_t n) {
  const std::byte* at = w.panel(0) + element_offset(w, block, k, n);
  [[maybe_unused]] const index_t panel = n / panel_columns, column = n % panel_columns;
  if constexpr (Packed<E>::has_scales)
    return static_cast<f32>(static_cast<int>(*at) - 128) * w.scales(panel, block.group)[column];
  else {
    E value;
    std::memcpy(&value, at, sizeof(E));
    return value;
  }
}
}  // namespace detail

/// w[k, n] in f32 (int8 times scale, exact).
template <class E>
f32 unpack(const Packed<E>& w, index_t k, index_t n) {
  return detail::element_at(w, detail::block_of(w, k), k, n);
}

/// Column n of w, i.e. w[0 … K, n]: a row of an embedding that was packed transposed, as the head of the model.
template <class E, class Out>
void unpack_column(const Packed<E>& w, index_t n, Out* out) {
  for (const Block& block : w.blocks())
    for (index_t k = block.row; k < block.row + block.rows; ++k)
      out[k] = static_cast<Out>(detail::element_at(w, block, k, n));
}

}  // namespace tess::host
