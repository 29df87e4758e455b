// The steps of attention besides matmul: loading blocks of the cache as f32 panels, the online softmax of a row.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "../../tensor/math.hpp"
#include "block_kernel.hpp"
#include "cpu.hpp"

namespace tess::host::detail {

inline constexpr index_t attention_block = 64;  // cache positions at a time: two panels

/// One row of scores over a block of positions, and the running sums of that row.
struct SoftmaxRow {
  const f32* score;  // two panels of 32, `panel` apart
  index_t panel;     // = rows * 32
  index_t hidden;    // positions [hidden, visible) count, at least one of the 64
  index_t visible;
  f32 scale, cap;
  f32* p;        // [64], out: exp(score - largest), 0 where invisible
  f32* largest;  // in, out
  f32* weight;   // in, out: sum of p
  f32* value;    // [value_panels], `panel` apart, of 32: rescaled to the new largest
  index_t value_panels;
};

/// For a cache of C: bf16, or f32 where nothing may be rounded.
template <class C>
struct AttentionKernels {
  void (*load_keys)(const C* k, index_t step, index_t count, index_t head_dim, f32* panels);
  void (*load_values)(const C* v, index_t step, index_t count, index_t head_dim, f32* panels);
  void (*softmax)(const SoftmaxRow& row);
};

/// k [count] rows `step` apart of head_dim -> [2][head_dim][32], zeros beyond count.
template <class C>
TESS_ALWAYS_INLINE void load_keys_body(const C* k, index_t step, index_t count, index_t head_dim, f32* panels) {
  for (index_t c = 0; c < attention_block; ++c) {
    f32* const to = panels + c / panel_columns * head_dim * panel_columns + c % panel_columns;
    for (index_t d = 0; d < head_dim; ++d) to[d * panel_columns] = c < count ? static_cast<f32>(k[c * step + d]) : 0.0f;
  }
}

/// v [count] rows `step` apart of head_dim -> [head_dim / 32 rounded up][64][32], zeros beyond head_dim.
template <class C>
TESS_ALWAYS_INLINE void load_values_body(const C* v, index_t step, index_t count, index_t head_dim, f32* panels) {
  for (index_t first = 0; first < head_dim; first += panel_columns, panels += attention_block * panel_columns)
    for (index_t r = 0; r < count; ++r) {
      f32* const to = panels + r * panel_columns;
      const C* const from = v + r * step + first;
      if (head_dim - first >= panel_columns)
        for (index_t c = 0; c < panel_columns; ++c) to[c] = static_cast<f32>(from[c]);
      else
        for (index_t c = 0; c < panel_columns; ++c) to[c] = c < head_dim - first ? static_cast<f32>(from[c]) : 0.0f;
    }
}

TESS_ALWAYS_INLINE void softmax_body(const SoftmaxRow& a) {
  alignas(64) f32 x[attention_block];
  std::memcpy(x, a.score, panel_columns * sizeof(f32));
  std::memcpy(x + panel_columns, a.score + a.panel, panel_columns * sizeof(f32));
  for (index_t i = 0; i < attention_block; ++i) x[i] *= a.scale;
  if (a.cap != 0.0f) {
    const f32 inverse = 1.0f / a.cap;
    for (index_t i = 0; i < attention_block; ++i) x[i] = a.cap * math::Tanh::apply(x[i] * inverse);
  }
  for (index_t i = 0; i < a.hidden; ++i) x[i] = -std::numeric_limits<f32>::infinity();
  for (index_t i = a.visible; i < attention_block; ++i) x[i] = -std::numeric_limits<f32>::infinity();
  f32 lane[16];
  for (index_t l = 0; l < 16; ++l) {
    const f32 a01 = x[l] > x[l + 16] ? x[l] : x[l + 16], a23 = x[l + 32] > x[l + 48] ? x[l + 32] : x[l + 48];
    lane[l] = a01 > a23 ? a01 : a23;
  }
  f32 largest = *a.largest;
  for (const f32 value : lane) largest = value > largest ? value : largest;
  for (index_t i = 0; i < attention_block; ++i) x[i] = math::Exp::apply(x[i] - largest);
  std::memcpy(a.p, x, sizeof(x));
  for (index_t l = 0; l < 16; ++l) lane[l] = (x[l] + x[l + 16]) + (x[l + 32] + x[l + 48]);
  f32 sum = 0;
  for (const f32 value : lane) sum += value;
  if (largest == *a.largest) {
    *a.weight += sum;
    return;
  }
  const f32 factor = math::Exp::apply(*a.largest - largest);  // 0 for the first block
  *a.weight = *a.weight * factor + sum;
  *a.largest = largest;
  for (index_t p = 0; p < a.value_panels; ++p)
    for (index_t c = 0; c < panel_columns; ++c) a.value[p * a.panel + c] *= factor;
}

#if TESS_X86
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // g++ 12 takes its own _mm512_undefined_*() for a mistake (bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

/// Transposes 16 rows of 16 words: rows become columns.
TESS_TARGET_AVX512 TESS_ALWAYS_INLINE void transpose(__m512i (&r)[16]) {
  __m512i a[16];
  TESS_UNROLL(16)
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  TESS_UNROLL(16)
  for (int i = 0; i < 16; ++i)  // r[4 i + c]: column 4 lane + c of rows 4 i … 4 i + 3
    r[i] = i % 2 == 0 ? _mm512_unpacklo_epi64(a[i / 4 * 4 + i % 4 / 2], a[i / 4 * 4 + i % 4 / 2 + 2])
                      : _mm512_unpackhi_epi64(a[i / 4 * 4 + i % 4 / 2], a[i / 4 * 4 + i % 4 / 2 + 2]);
  TESS_UNROLL(4)
  for (int c = 0; c < 4; ++c) {
    const __m512i even0 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), odd0 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
    const __m512i even1 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88),
                  odd1 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
    r[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
    r[4 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
    r[8 + c] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
    r[12 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
  }
}

/// 16 positions by 32 values at a time, transposed as words of two bf16.
TESS_TARGET_AVX512 inline void load_keys_avx512(const bf16* k, index_t step, index_t count, index_t head_dim,
                                                f32* panels) {
  for (index_t c = 0; c < attention_block; c += 16) {
    f32* const to = panels + c / panel_columns * head_dim * panel_columns + c % panel_columns;
    for (index_t d = 0; d < head_dim; d += 32) {
      const index_t rest = head_dim - d;
      const __mmask32 mask = rest >= 32 ? ~0u : (1u << rest) - 1;
      __m512i rows[16];
      TESS_UNROLL(16)
      for (int i = 0; i < 16; ++i)
        rows[i] = _mm512_maskz_loadu_epi16(c + i < count ? mask : 0, k + (c + i < count ? c + i : 0) * step + d);
      transpose(rows);
      TESS_UNROLL(16)
      for (int i = 0; i < 16; ++i) {
        if (2 * i < rest) _mm512_storeu_si512(to + (d + 2 * i) * panel_columns, _mm512_slli_epi32(rows[i], 16));
        if (2 * i + 1 < rest)
          _mm512_storeu_si512(to + (d + 2 * i + 1) * panel_columns,
                              _mm512_and_si512(rows[i], _mm512_set1_epi32(-65536)));
      }
    }
  }
}

/// 16 positions by 16 values at a time.
TESS_TARGET_AVX512 inline void load_keys_avx512(const f32* k, index_t step, index_t count, index_t head_dim,
                                                f32* panels) {
  for (index_t c = 0; c < attention_block; c += 16) {
    f32* const to = panels + c / panel_columns * head_dim * panel_columns + c % panel_columns;
    for (index_t d = 0; d < head_dim; d += 16) {
      const index_t rest = head_dim - d;
      const auto mask = static_cast<__mmask16>(rest >= 16 ? 0xffffu : (1u << rest) - 1);
      __m512i rows[16];
      TESS_UNROLL(16)
      for (int i = 0; i < 16; ++i)
        rows[i] =
            _mm512_maskz_loadu_epi32(c + i < count ? mask : __mmask16{0}, k + (c + i < count ? c + i : 0) * step + d);
      transpose(rows);
      TESS_UNROLL(16)
      for (int i = 0; i < 16; ++i)
        if (i < rest) _mm512_storeu_si512(to + (d + i) * panel_columns, rows[i]);
    }
  }
}

template <class C>
TESS_TARGET_AVX2 void load_keys_avx2(const C* k, index_t step, index_t count, index_t head_dim, f32* panels) {
  load_keys_body(k, step, count, head_dim, panels);
}
template <class C>
TESS_TARGET_AVX2 void load_values_avx2(const C* v, index_t step, index_t count, index_t head_dim, f32* panels) {
  load_values_body(v, step, count, head_dim, panels);
}
TESS_TARGET_AVX2 inline void softmax_avx2(const SoftmaxRow& row) { softmax_body(row); }
template <class C>
TESS_TARGET_AVX512 void load_values_avx512(const C* v, index_t step, index_t count, index_t head_dim, f32* panels) {
  load_values_body(v, step, count, head_dim, panels);
}
TESS_TARGET_AVX512 inline void softmax_avx512(const SoftmaxRow& row) { softmax_body(row); }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

template <class C>
AttentionKernels<C> choose_attention_kernels([[maybe_unused]] const Cpu& cpu) {
#if TESS_X86
  if (cpu.isa == Isa::avx512) return {load_keys_avx512, load_values_avx512<C>, softmax_avx512};
  if (cpu.isa == Isa::avx2) return {load_keys_avx2<C>, load_values_avx2<C>, softmax_avx2};
#endif
  return {[](const C* k, index_t step, index_t count, index_t head_dim, f32* panels) {
            load_keys_body(k, step, count, head_dim, panels);
          },
          [](const C* v, index_t step, index_t count, index_t head_dim, f32* panels) {
            load_values_body(v, step, count, head_dim, panels);
          },
          [](const SoftmaxRow& row) { softmax_body(row); }};
}

}  // namespace tess::host::detail
