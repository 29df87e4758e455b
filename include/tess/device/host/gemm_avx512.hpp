// The matmul kernels for AVX-512: f32, bf16 dot products (vdpbf16ps), int8 dot products (vpdpbusd) in two terms.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "block_kernel.hpp"
#include "cpu.hpp"

#if TESS_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // g++ 12 takes its own _mm512_undefined_*() for a mistake (bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
namespace tess::host::detail::avx512 {

// --- activations
// ------------------------------------------------------------------------------------------------------

TESS_TARGET_AVX512 TESS_ALWAYS_INLINE __m512 widen_bf16(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

/// Up to 16 elements as f32; zeros beyond `count`.
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE __m512 load_row(const f32* x, index_t count) {
  if (count >= 16) return _mm512_loadu_ps(x);
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), x);
}
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE __m512 load_row(const bf16* x, index_t count) {
  if (count >= 16) return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  return widen_bf16(_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), x));
}

template <class X>
TESS_TARGET_AVX512 inline void prepare_f32_words(const X* x, index_t rows, std::uint32_t* words, RowScale*) {
  for (index_t k = 0; k < rows; k += 16) _mm512_storeu_ps(words + k, load_row(x + k, rows - k));
}

/// bf16 as they are; f32 as an upper and a lower bf16, together 16 bits of mantissa, or as the upper one alone.
template <class X, int terms>
TESS_TARGET_BF16 inline void prepare_bf16_words(const X* x, index_t rows, std::uint32_t* words, RowScale*) {
  auto* const upper = reinterpret_cast<std::uint16_t*>(words);
  if constexpr (std::is_same_v<X, bf16>) {
    for (index_t k = 0; k < rows; k += 32) {
      const index_t count = rows - k;
      const __mmask32 mask = count >= 32 ? ~0u : (1u << count) - 1;
      _mm512_storeu_si512(upper + k, _mm512_maskz_loadu_epi16(mask, x + k));
    }
  } else {
    std::uint16_t* const lower = upper + block_rows;
    for (index_t k = 0; k < rows; k += 16) {
      const __m512 value = load_row(x + k, rows - k);
      const auto high = (__m256i)_mm512_cvtneps_pbh(value);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(upper + k), high);
      if constexpr (terms == 2) {
        const __m512 rest = _mm512_sub_ps(value, widen_bf16(high));
        const __mmask16 finite = static_cast<__mmask16>(~_mm512_fpclass_ps_mask(rest, 0x99));  // NaN, +-infinity
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lower + k),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_mov_ps(finite, rest)));
      }
    }
  }
}

/// x = scale (q1 + q2 / 254): scale = largest |x| / 127, q1 = round(x / scale), q2 = round(254 (x / scale - q1)).
template <class X, int terms>
TESS_TARGET_VNNI inline void prepare_int8(const X* x, index_t rows, std::uint32_t* words, RowScale* scale) {
  __m512i largest = _mm512_setzero_si512();  // of the bits of |x|: orders NaN above infinity above all numbers
  for (index_t k = 0; k < rows; k += 16)
    largest = _mm512_max_epu32(
        largest, _mm512_and_si512(_mm512_castps_si512(load_row(x + k, rows - k)), _mm512_set1_epi32(0x7fffffff)));
  const f32 magnitude = std::bit_cast<f32>(_mm512_reduce_max_epu32(largest));
  const bool finite = magnitude <= std::numeric_limits<f32>::max();
  const bool usable = finite && magnitude > 1e-35f;  // its inverse must be a normal number
  const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / magnitude : 0.0f);
  __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (index_t k = 0; k < rows; k += 16) {
    const __m512 value = usable ? _mm512_mul_ps(load_row(x + k, rows - k), inverse) : _mm512_setzero_ps();
    const __m512i q1 = _mm512_cvtps_epi32(value);
    sum[0] = _mm512_add_epi32(sum[0], q1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words + k / 4), _mm512_cvtepi32_epi8(q1));
    if constexpr (terms == 2) {
      const __m512 rest = _mm512_sub_ps(value, _mm512_cvtepi32_ps(q1));
      const __m512i q2 = _mm512_cvtps_epi32(_mm512_mul_ps(rest, _mm512_set1_ps(254.0f)));
      sum[1] = _mm512_add_epi32(sum[1], q2);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + block_rows / 4 + k / 4), _mm512_cvtepi32_epi8(q2));
    }
  }
  scale->scale = !finite ? std::numeric_limits<f32>::quiet_NaN() : usable ? magnitude / 127.0f : 0.0f;
  for (int t = 0; t < 2; ++t) scale->bias[t] = -128 * _mm512_reduce_add_epi32(sum[t]);
}

/// The weights of the next block, 64 rows of words on, while this one is multiplied: with 8 to 32 rows twice the speed.
TESS_ALWAYS_INLINE void prefetch(const std::byte* w) {
  _mm_prefetch(reinterpret_cast<const char*>(w) + 64 * 128, _MM_HINT_T0);
  _mm_prefetch(reinterpret_cast<const char*>(w) + 64 * 128 + 64, _MM_HINT_T0);
}

/// Rows are taken 12 or 6, 3, 2, 1 at a time. 6 rows by 2 vectors by 2 terms of sums fill 24 of 32 registers.
constexpr int next_height(int height) { return height == 3 ? 2 : height / 2; }

// --- f32: widened weights, fused multiply-add
// ---------------------------------------------------------------------------

/// Row j of the K rows in sixteen words.
template <class E, int j>
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE __m512 widen(__m512i words) {
  if constexpr (std::is_same_v<E, f32>) return _mm512_castsi512_ps(words);
  else if constexpr (std::is_same_v<E, bf16>)
    return _mm512_castsi512_ps(j == 0 ? _mm512_slli_epi32(words, 16)
                                      : _mm512_and_si512(words, _mm512_set1_epi32(-65536)));
  else {
    const __m512i top = j == 3 ? words : _mm512_slli_epi32(words, 24 - 8 * j);
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_xor_si512(top, _mm512_set1_epi32(-0x7fffffff - 1)), 24));
  }
}

/// One row of K: y[H][32] += x[H] w[32].
template <class E, int H, int j>
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE void step_f32(const f32* x, __m512i words0, __m512i words1, __m512 (&sum)[H][2]) {
  if constexpr (j < Packed<E>::rows_per_word) {
    const __m512 w0 = widen<E, j>(words0), w1 = widen<E, j>(words1);
    TESS_UNROLL(8)
    for (int r = 0; r < H; ++r) {
      const __m512 xr = _mm512_set1_ps(x[r * block_rows + j]);
      sum[r][0] = _mm512_fmadd_ps(xr, w0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(xr, w1, sum[r][1]);
    }
    step_f32<E, H, j + 1>(x, words0, words1, sum);
  }
}

template <int H>
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE void clear(__m512 (&sum)[H][2]) {
  TESS_UNROLL(12)
  for (int r = 0; r < H; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
}

template <int H>
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE void add_to(f32* y, const __m512 (&sum)[H][2]) {
  TESS_UNROLL(12)
  for (int r = 0; r < H; ++r) {
    TESS_UNROLL(2)
    for (int v = 0; v < 2; ++v) {
      f32* const at = y + r * panel_columns + 16 * v;
      _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), sum[r][v]));
    }
  }
}

template <class E, int H>
TESS_TARGET_AVX512 inline void tile_f32(const BlockArgs& a, index_t row) {
  __m512 sum[H][2];
  clear(sum);
  const f32* x = reinterpret_cast<const f32*>(a.x) + row * block_rows;
  const std::byte* w = a.w;
  index_t left = a.w_words;
  do {
    step_f32<E, H, 0>(x, _mm512_loadu_si512(w), _mm512_loadu_si512(w + 64), sum);
    prefetch(w);
    x += Packed<E>::rows_per_word, w += Packed<E>::word_row_bytes;
  } while (--left > 0);
  f32* const y = a.y + row * panel_columns;
  if constexpr (Packed<E>::has_scales) {
    TESS_UNROLL(2)
    for (int v = 0; v < 2; ++v) {
      const __m512 scale = widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.w_scale + 16 * v)));
      TESS_UNROLL(8)
      for (int r = 0; r < H; ++r) {
        f32* const at = y + r * panel_columns + 16 * v;
        _mm512_storeu_ps(at, _mm512_fmadd_ps(sum[r][v], scale, _mm512_loadu_ps(at)));
      }
    }
  } else {
    add_to(y, sum);
  }
}

template <class E, int H = 6>
TESS_TARGET_AVX512 inline void block_f32(const BlockArgs& a, index_t row) {
  for (; row + H <= a.rows; row += H) tile_f32<E, H>(a, row);
  if constexpr (H > 1) block_f32<E, next_height(H)>(a, row);
}
template <class E>
TESS_TARGET_AVX512 inline void block_f32(const BlockArgs& a) {
  block_f32<E>(a, 0);
}

// --- bf16 dot products
// --------------------------------------------------------------------------------------------------

template <int H, int terms>
TESS_TARGET_BF16 inline void tile_bf16(const BlockArgs& a, index_t row) {
  constexpr index_t words = words_in_block(Form::bf16_words);
  __m512 sum[H][2];
  clear(sum);
  const std::uint32_t* x = a.x + row * terms * words;
  const std::byte* w = a.w;
  index_t left = a.w_words;
  do {
    const auto w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 64);
    TESS_UNROLL(24)
    for (int rt = 0; rt < H * terms; ++rt) {
      const auto xr = (__m512bh)_mm512_set1_epi32(static_cast<int>(x[rt * words]));
      sum[rt / terms][0] = _mm512_dpbf16_ps(sum[rt / terms][0], w0, xr);
      sum[rt / terms][1] = _mm512_dpbf16_ps(sum[rt / terms][1], w1, xr);
    }
    prefetch(w);
    ++x, w += PackedBf16::word_row_bytes;
  } while (--left > 0);
  add_to(a.y + row * panel_columns, sum);
}

template <int terms, int H>
TESS_TARGET_BF16 inline void block_bf16(const BlockArgs& a, index_t row) {
  for (; row + H <= a.rows; row += H) tile_bf16<H, terms>(a, row);
  if constexpr (H > 1) block_bf16<terms, next_height(H)>(a, row);
}
template <int terms>
TESS_TARGET_BF16 inline void block_bf16(const BlockArgs& a) {
  block_bf16<terms, 12>(a, 0);  // more sums than the others: vdpbf16ps takes 6 cycles
}

// --- int8 dot products
// --------------------------------------------------------------------------------------------------

/// As __m512i, which is eight int64, the sums would be copied and spilled in every turn by g++ 12.
using Int32x16 = std::int32_t __attribute__((vector_size(64)));

/// |sums| <= 256 * 128 * 127 < 2^24: exact in int32 and in f32.
template <int H, int terms>
TESS_TARGET_VNNI inline void tile_int8(const BlockArgs& a, index_t row) {
  constexpr index_t words = words_in_block(Form::int8_words);
  Int32x16 sum[H * terms][2];
  TESS_UNROLL(16)
  for (int rt = 0; rt < H * terms; ++rt)
    sum[rt][0] = sum[rt][1] = (Int32x16)_mm512_set1_epi32(a.x_scale[row + rt / terms].bias[rt % terms]);
  const std::uint32_t* x = a.x + row * terms * words;
  const std::byte* w = a.w;
  index_t left = a.w_words;
  do {
    const __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
    TESS_UNROLL(24)
    for (int rt = 0; rt < H * terms; ++rt) {
      const __m512i xr = _mm512_set1_epi32(static_cast<int>(x[rt * words]));
      sum[rt][0] = (Int32x16)_mm512_dpbusd_epi32((__m512i)sum[rt][0], w0, xr);
      sum[rt][1] = (Int32x16)_mm512_dpbusd_epi32((__m512i)sum[rt][1], w1, xr);
    }
    prefetch(w);
    ++x, w += PackedQ8::word_row_bytes;
  } while (--left > 0);
  TESS_UNROLL(2)
  for (int v = 0; v < 2; ++v) {
    const __m512 w_scale = widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.w_scale + 16 * v)));
    TESS_UNROLL(8)
    for (int r = 0; r < H; ++r) {
      __m512 value = _mm512_cvtepi32_ps((__m512i)sum[r * terms][v]);
      if constexpr (terms == 2)
        value =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)sum[r * terms + 1][v]), _mm512_set1_ps(1.0f / 254.0f), value);
      f32* const y = a.y + (row + r) * panel_columns + 16 * v;
      const __m512 scale = _mm512_mul_ps(w_scale, _mm512_set1_ps(a.x_scale[row + r].scale));
      _mm512_storeu_ps(y, _mm512_fmadd_ps(value, scale, _mm512_loadu_ps(y)));
    }
  }
}

template <int terms, int H = 6>
TESS_TARGET_VNNI inline void block_int8(const BlockArgs& a, index_t row) {
  for (; row + H <= a.rows; row += H) tile_int8<H, terms>(a, row);
  if constexpr (H > 1) block_int8<terms, next_height(H)>(a, row);
}
template <int terms>
TESS_TARGET_VNNI inline void block_int8(const BlockArgs& a) {
  block_int8<terms>(a, 0);
}

}  // namespace tess::host::detail::avx512
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
