// The matmul kernels in portable C++: f32 activations, widened weights. Every other kernel is tested against them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>

#include "block_kernel.hpp"

namespace tess::host::detail::portable {

inline void prepare_f32(const f32* x, index_t rows, std::uint32_t* words, RowScale*) { prepare_f32_row(x, rows, words); }
inline void prepare_bf16(const bf16* x, index_t rows, std::uint32_t* words, RowScale*) { prepare_f32_row(x, rows, words); }

/// The element of a word at row j of its K rows.
template <class E>
TESS_ALWAYS_INLINE f32 element(std::uint32_t word, int j) {
  if constexpr (std::is_same_v<E, f32>) return std::bit_cast<f32>(word);
  else if constexpr (std::is_same_v<E, bf16>) return std::bit_cast<f32>(j == 0 ? word << 16 : word & 0xffff0000u);
  else return static_cast<f32>(static_cast<std::int32_t>((word >> (8 * j)) & 0xffu) - 128);
}

template <class E>
void block(const BlockArgs& a) {
  constexpr int per_word = static_cast<int>(Packed<E>::rows_per_word);
  for (index_t r = 0; r < a.rows; ++r) {
    const std::uint32_t* x = a.x + r * block_rows;
    f32 sum[panel_columns] = {};
    for (index_t word = 0; word < a.w_words; ++word) {
      std::uint32_t w[panel_columns];
      std::memcpy(w, a.w + word * Packed<E>::word_row_bytes, sizeof(w));
      for (int j = 0; j < per_word; ++j) {
        const f32 xk = std::bit_cast<f32>(x[word * per_word + j]);
        for (index_t c = 0; c < panel_columns; ++c) sum[c] += xk * element<E>(w[c], j);
      }
    }
    f32* y = a.y + r * panel_columns;
    for (index_t c = 0; c < panel_columns; ++c) {
      if constexpr (Packed<E>::has_scales) y[c] += sum[c] * a.w_scale[c];
      else y[c] += sum[c];
    }
  }
}

}  // namespace tess::host::detail::portable
