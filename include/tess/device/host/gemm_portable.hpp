// The matmul kernels in portable C++: f32 activations, widened weights. Every other kernel is tested against them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>

#include "block_kernel.hpp"

namespace tess::host::detail::portable {

// Vectors of 16 bytes: g++ and clang map them to SSE2, NEON and the like, or to scalars.
using Float4 = f32 __attribute__((vector_size(16)));
using Int4 = std::int32_t __attribute__((vector_size(16)));

template <class X>
inline void prepare_f32_words(const X* x, index_t rows, std::uint32_t* words, RowScale*) {
  prepare_f32_row(x, rows, words);
}

/// Row j of the K rows in four words.
template <class E>
TESS_ALWAYS_INLINE Float4 widen(Int4 words, int j) {
  if constexpr (std::is_same_v<E, f32>) return std::bit_cast<Float4>(words);
  else if constexpr (std::is_same_v<E, bf16>) return std::bit_cast<Float4>(j == 0 ? words << 16 : words & -65536);
  else
    return __builtin_convertvector(((words << (24 - 8 * j)) ^ std::numeric_limits<std::int32_t>::min()) >> 24, Float4);
}

/// H rows, 4 V columns from `column` on.
template <class E, int H, int V>
void tile(const BlockArgs& a, index_t row, index_t column) {
  constexpr int per_word = static_cast<int>(Packed<E>::rows_per_word);
  Float4 sum[H][V] = {};
  const f32* x = reinterpret_cast<const f32*>(a.x) + row * block_rows;
  for (index_t i = 0; i < a.w_words; ++i, x += per_word) {
    Int4 words[V];
    std::memcpy(words, a.w + i * Packed<E>::word_row_bytes + column * 4, sizeof(words));
    for (int j = 0; j < per_word; ++j)
      for (int v = 0; v < V; ++v) {
        const Float4 w = widen<E>(words[v], j);
        for (int r = 0; r < H; ++r) sum[r][v] += x[r * block_rows + j] * w;
      }
  }
  for (int r = 0; r < H; ++r)
    for (int c = 0; c < 4 * V; ++c) {
      f32& y = a.y[(row + r) * panel_columns + column + c];
      if constexpr (Packed<E>::has_scales) y += sum[r][c / 4][c % 4] * a.w_scale[column + c];
      else y += sum[r][c / 4][c % 4];
    }
}

template <class E>
void block_f32(const BlockArgs& a) {
  index_t row = 0;
  for (; row + 4 <= a.rows; row += 4)
    for (index_t column = 0; column < panel_columns; column += 8) tile<E, 4, 2>(a, row, column);
  for (; row < a.rows; ++row)
    for (index_t column = 0; column < panel_columns; column += 16) tile<E, 1, 4>(a, row, column);
}

}  // namespace tess::host::detail::portable
