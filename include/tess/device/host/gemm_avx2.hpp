// The matmul kernels for AVX2: f32 activations, weights widened to f32 in registers, fused multiply-add.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "block_kernel.hpp"
#include "cpu.hpp"

#if TESS_X86
namespace tess::host::detail::avx2 {

template <class X>
TESS_TARGET_AVX2 inline void prepare_f32_words(const X* x, index_t rows, std::uint32_t* words, RowScale*) {
  prepare_f32_row(x, rows, words);
}

/// Row j of the K rows in eight words.
template <class E, int j>
TESS_TARGET_AVX2 TESS_ALWAYS_INLINE __m256 widen(__m256i words) {
  if constexpr (std::is_same_v<E, f32>) return _mm256_castsi256_ps(words);
  else if constexpr (std::is_same_v<E, bf16>)
    return _mm256_castsi256_ps(j == 0 ? _mm256_slli_epi32(words, 16)
                                      : _mm256_and_si256(words, _mm256_set1_epi32(-65536)));
  else {
    const __m256i top = j == 3 ? words : _mm256_slli_epi32(words, 24 - 8 * j);
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_xor_si256(top, _mm256_set1_epi32(-0x7fffffff - 1)), 24));
  }
}

/// One row of K: y[H][8 V] += x[H] w[8 V].
template <class E, int H, int V, int j>
TESS_TARGET_AVX2 TESS_ALWAYS_INLINE void step(const f32* x, const __m256i (&words)[V], __m256 (&sum)[H][V]) {
  if constexpr (j < Packed<E>::rows_per_word) {
    __m256 w[V];
    TESS_UNROLL(8)
    for (int v = 0; v < V; ++v) w[v] = widen<E, j>(words[v]);
    TESS_UNROLL(8)
    for (int r = 0; r < H; ++r) {
      const __m256 xr = _mm256_broadcast_ss(x + r * block_rows + j);
      TESS_UNROLL(8)
      for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(xr, w[v], sum[r][v]);
    }
    step<E, H, V, j + 1>(x, words, sum);
  }
}

/// H rows, 8 V columns from `column` on.
template <class E, int H, int V>
TESS_TARGET_AVX2 inline void tile(const BlockArgs& a, index_t row, int column) {
  __m256 sum[H][V];
  TESS_UNROLL(8)
  for (int r = 0; r < H; ++r) {
    TESS_UNROLL(8)
    for (int v = 0; v < V; ++v) sum[r][v] = _mm256_setzero_ps();
  }
  const f32* x = reinterpret_cast<const f32*>(a.x) + row * block_rows;
  const std::byte* w = a.w + column * 4;
  index_t left = a.w_words;
  do {
    __m256i words[V];
    TESS_UNROLL(8)
    for (int v = 0; v < V; ++v) words[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32 * v));
    step<E, H, V, 0>(x, words, sum);
    _mm_prefetch(reinterpret_cast<const char*>(w) + 64 * Packed<E>::word_row_bytes, _MM_HINT_T0);  // the next block
    x += Packed<E>::rows_per_word, w += Packed<E>::word_row_bytes;
  } while (--left > 0);
  TESS_UNROLL(8)
  for (int v = 0; v < V; ++v) {
    [[maybe_unused]] __m256 scale{};
    if constexpr (Packed<E>::has_scales)
      scale = _mm256_castsi256_ps(_mm256_slli_epi32(
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.w_scale + column + 8 * v))), 16));
    TESS_UNROLL(8)
    for (int r = 0; r < H; ++r) {
      f32* const y = a.y + (row + r) * panel_columns + column + 8 * v;
      const __m256 old = _mm256_loadu_ps(y);
      if constexpr (Packed<E>::has_scales) _mm256_storeu_ps(y, _mm256_fmadd_ps(sum[r][v], scale, old));
      else _mm256_storeu_ps(y, _mm256_add_ps(sum[r][v], old));
    }
  }
}

template <class E>
TESS_TARGET_AVX2 inline void block_f32(const BlockArgs& a) {
  index_t row = 0;
  for (; row + 6 <= a.rows; row += 6)
    for (int column = 0; column < panel_columns; column += 16) tile<E, 6, 2>(a, row, column);
  const index_t rest = a.rows - row;
  if (rest >= 3)
    for (int column = 0; column < panel_columns; column += 16) tile<E, 3, 2>(a, row, column);
  row += rest >= 3 ? 3 : 0;
  if (a.rows - row == 2) tile<E, 2, 4>(a, row, 0);
  if (a.rows - row == 1) tile<E, 1, 4>(a, row, 0);
}

}  // namespace tess::host::detail::avx2
#endif
