// paste: a packed matrix into its place in a larger one, exactly: the elements' own bytes, and the scales with them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "pack.hpp"

namespace tess::host {

/// A matrix to paste into: packed zeros, as `pack` would leave them.
template <class E>
Packed<E> blank(index_t K, index_t N, index_t group_rows = 0, index_t first_group_offset = 0) {
  Packed<E> w(K, N, group_rows, first_group_offset);
  if constexpr (Packed<E>::has_scales)
    std::memset(w.panel(0), 128, static_cast<std::size_t>(w.panels() * w.panel_bytes()));  // int8 are stored as q + 128
  return w;
}

namespace detail {
/// `rows` rows of one word (or a single row of it) of `columns` columns; whole panels in one go where both lie alike.
template <class E>
void paste_rows(Packed<E>& to, index_t row, index_t column, const Packed<E>& from, index_t k, index_t rows) {
  const Block &source = block_of(from, k), &target = block_of(to, row);
  const std::byte* const in = from.panel(0);
  std::byte* const out = to.panel(0);
  const bool whole_words = rows == Packed<E>::rows_per_word;
  for (index_t n = 0, width = 1; n < from.columns(); n += width) {
    const index_t m = column + n;
    const bool panel = whole_words && n % panel_columns == 0 && m % panel_columns == 0;
    width = panel ? std::min(panel_columns, from.columns() - n) : 1;
    const auto bytes = static_cast<std::size_t>(panel ? width * 4 : rows * static_cast<index_t>(sizeof(E)));
    std::memcpy(out + element_offset(to, target, row, m), in + element_offset(from, source, k, n), bytes);
  }
}
}  // namespace detail

/// `from` [K, N] becomes rows row … row + K and columns column … column + N of `to`. Groups of scales are those of the
/// whole matrix in both.
template <class E>
void paste(ThreadPool& pool, Packed<E>& to, index_t row, index_t column, const Packed<E>& from) {
  if (from.columns() == 0) return;
  constexpr index_t word = Packed<E>::rows_per_word;
  pool.for_range(static_cast<index_t>(from.blocks().size()), 1, [&](index_t begin, index_t end) {
    for (index_t b = begin; b < end; ++b) {
      const Block& block = from.blocks()[static_cast<std::size_t>(b)];
      for (index_t k = block.row, rows = 1; k < block.row + block.rows; k += rows) {
        const Block& target = detail::block_of(to, row + k);
        const bool aligned = (k - block.row) % word == 0 && (row + k - target.row) % word == 0 &&
                             block.row + block.rows - k >= word && target.row + target.rows - (row + k) >= word;
        rows = aligned ? word : 1;
        detail::paste_rows(to, row + k, column, from, k, rows);
      }
      if constexpr (Packed<E>::has_scales) {
        if (b > 0 && from.blocks()[static_cast<std::size_t>(b - 1)].group == block.group) continue;
        const index_t group = detail::block_of(to, row + block.row).group;
        for (index_t n = 0; n < from.columns(); ++n)
          to.scales((column + n) / panel_columns, group)[(column + n) % panel_columns] =
              from.scales(n / panel_columns, block.group)[n % panel_columns];
      }
    }
  });
}

}  // namespace tess::host
