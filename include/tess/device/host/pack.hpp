// Packing: from the row-major bytes of a memory-mapped file, at any address, to the kernels' order.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "packed.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// A matrix [K, N] of elements S somewhere in a file. `stride` is the distance in bytes between its rows (transposed:
/// the
/// file holds [N, K], and it is the distance between the rows of that). A sub-rectangle is a source with the whole's
/// stride.
template <class S, bool Transposed = false>
struct Source {
  const std::byte* data;
  index_t stride;
};

namespace detail {

template <class S>
S load(const std::byte* at) {
  S value;
  std::memcpy(&value, at, sizeof(S));
  return value;
}

/// Four rows of K of one panel, as elements; what lies outside the matrix is zero.
template <class E>
struct Quad {
  alignas(64) E rows[4][panel_columns];
};

template <class E, class S>
void load_quad(const Source<S>& source, index_t k, index_t rows, index_t n, index_t columns, Quad<E>& quad) {
  constexpr auto size = static_cast<index_t>(sizeof(S));
  if (rows < 4 || columns < panel_columns) quad = Quad<E>{};
  for (index_t j = 0; j < rows; ++j) {
    const std::byte* at = source.data + (k + j) * source.stride + n * size;
    if constexpr (std::is_same_v<E, S>) {
      if (columns == panel_columns) std::memcpy(quad.rows[j], at, sizeof(quad.rows[j]));
      else std::memcpy(quad.rows[j], at, static_cast<std::size_t>(columns * size));
    } else if (columns == panel_columns) {
      for (index_t c = 0; c < panel_columns; ++c) quad.rows[j][c] = static_cast<E>(load<S>(at + c * size));
    } else {
      for (index_t c = 0; c < columns; ++c) quad.rows[j][c] = static_cast<E>(load<S>(at + c * size));
    }
  }
}

/// Asks for the four rows of a panel that will be read soon; rows beyond the matrix are left out.
template <class S>
void prefetch_quad(const Source<S>& source, index_t k, index_t K, index_t n) {
  for (index_t j = k; j < std::min(K, k + 4); ++j)
    __builtin_prefetch(source.data + j * source.stride + n * static_cast<index_t>(sizeof(S)));
}

/// Consecutive elements as E; `rows` of them, at most 64.
template <class S, class E>
void load_run(const std::byte* at, index_t rows, E (&values)[64]) {
  constexpr auto size = static_cast<index_t>(sizeof(S));
  if (rows == 64)
    for (index_t k = 0; k < 64; ++k) values[k] = static_cast<E>(load<S>(at + k * size));
  else
    for (index_t k = 0; k < rows; ++k) values[k] = static_cast<E>(load<S>(at + k * size));
}

inline void store_quad(const Quad<f32>& quad, std::byte* out) { std::memcpy(out, quad.rows, sizeof(quad.rows)); }

#if TESS_X86  // SSE2 is part of x86-64
inline void store_quad(const Quad<bf16>& quad, std::byte* out) {
  for (int pair = 0; pair < 4; pair += 2)
    for (int c = 0; c < panel_columns; c += 8, out += 32) {
      const __m128i a = _mm_load_si128(reinterpret_cast<const __m128i*>(&quad.rows[pair][c]));
      const __m128i b = _mm_load_si128(reinterpret_cast<const __m128i*>(&quad.rows[pair + 1][c]));
      _mm_store_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(a, b));
      _mm_store_si128(reinterpret_cast<__m128i*>(out + 16), _mm_unpackhi_epi16(a, b));
    }
}
inline void store_quad(const Quad<std::int8_t>& quad, std::byte* out) {
  const __m128i bias = _mm_set1_epi8(-128);
  for (int c = 0; c < panel_columns; c += 16, out += 64) {
    __m128i row[4];
    for (int j = 0; j < 4; ++j)
      row[j] = _mm_xor_si128(_mm_load_si128(reinterpret_cast<const __m128i*>(&quad.rows[j][c])), bias);
    const __m128i lower01 = _mm_unpacklo_epi8(row[0], row[1]), upper01 = _mm_unpackhi_epi8(row[0], row[1]);
    const __m128i lower23 = _mm_unpacklo_epi8(row[2], row[3]), upper23 = _mm_unpackhi_epi8(row[2], row[3]);
    auto* const to = reinterpret_cast<__m128i*>(out);
    _mm_store_si128(to, _mm_unpacklo_epi16(lower01, lower23));
    _mm_store_si128(to + 1, _mm_unpackhi_epi16(lower01, lower23));
    _mm_store_si128(to + 2, _mm_unpacklo_epi16(upper01, upper23));
    _mm_store_si128(to + 3, _mm_unpackhi_epi16(upper01, upper23));
  }
}
#else
inline void store_quad(const Quad<bf16>& quad, std::byte* out) {
  for (int pair = 0; pair < 4; pair += 2)
    for (int c = 0; c < panel_columns; ++c, out += 4) {
      std::memcpy(out, &quad.rows[pair][c], 2);
      std::memcpy(out + 2, &quad.rows[pair + 1][c], 2);
    }
}
inline void store_quad(const Quad<std::int8_t>& quad, std::byte* out) {
  for (int c = 0; c < panel_columns; ++c)
    for (int j = 0; j < 4; ++j) *out++ = static_cast<std::byte>(quad.rows[j][c] + 128);
}
#endif

/// Rows of K that lie one after the other in the file: each task takes one block of K and the panels of 1024 columns.
template <class E, class S>
void pack_words(ThreadPool& pool, const Source<S>& source, Packed<E>& w) {
  constexpr index_t panels_together = 32;
  constexpr index_t quad_bytes = 4 * panel_columns * static_cast<index_t>(sizeof(E));
  const index_t stripes = (w.panels() + panels_together - 1) / panels_together;
  pool.for_range(static_cast<index_t>(w.blocks().size()) * stripes, 1, [&](index_t begin, index_t end) {
    Quad<E> quad{};
    for (index_t task = begin; task < end; ++task) {
      const Block& block = w.blocks()[static_cast<std::size_t>(task / stripes)];
      const index_t first = task % stripes * panels_together, last = std::min(w.panels(), first + panels_together);
      for (index_t k = 0; k < block.rows; k += 4)
        for (index_t p = first; p < last; ++p) {
          const index_t column = p * panel_columns, columns = std::min(panel_columns, w.columns() - column);
          prefetch_quad(source, block.row + k + 8, w.rows(), column);  // twice the speed: rows lie pages apart
          load_quad(source, block.row + k, std::min<index_t>(4, block.rows - k), column, columns, quad);
          store_quad(quad, w.panel(p) + block.word * Packed<E>::word_row_bytes + k / 4 * quad_bytes);
        }
    }
  });
}

/// Columns that lie one after the other in the file: each task takes one panel and one block of K, by runs of 64 rows.
template <class E, class S>
void pack_words(ThreadPool& pool, const Source<S, true>& source, Packed<E>& w) {
  constexpr index_t run = 64, rows_per_word = Packed<E>::rows_per_word;
  const auto blocks = static_cast<index_t>(w.blocks().size());
  pool.for_range(w.panels() * blocks, 16, [&](index_t begin, index_t end) {
    alignas(64) E values[panel_columns][run] = {};
    for (index_t task = begin; task < end; ++task) {
      const Block& block = w.blocks()[static_cast<std::size_t>(task % blocks)];
      const index_t column = task / blocks * panel_columns, columns = std::min(panel_columns, w.columns() - column);
      std::byte* out = w.panel(task / blocks) + block.word * Packed<E>::word_row_bytes;
      for (index_t k = 0; k < block.rows; k += run) {
        const index_t rows = std::min(run, block.rows - k), words = (rows + 3) / 4 * 4 / rows_per_word;
        if (rows < run || columns < panel_columns) std::memset(values, 0, sizeof(values));
        for (index_t c = 0; c < columns; ++c)
          load_run<S>(source.data + (column + c) * source.stride + (block.row + k) * static_cast<index_t>(sizeof(S)),
                      rows, values[c]);
        for (index_t word = 0; word < words; ++word, out += Packed<E>::word_row_bytes)
          for (index_t c = 0; c < panel_columns; ++c) std::memcpy(out + 4 * c, &values[c][word * rows_per_word], 4);
      }
    }
  });
}

}  // namespace detail

/// Packs W[K, N] as E = f32 or bf16 from elements S = f32 or bf16, rounding to nearest where E is narrower.
template <class E, class S, bool T>
Packed<E> pack(ThreadPool& pool, const Source<S, T>& source, index_t K, index_t N) {
  static_assert(!Packed<E>::has_scales, "int8 weights need scales: pack_q8");
  Packed<E> w(K, N);
  detail::pack_words(pool, source, w);
  return w;
}

/// Packs int8 W[K, N] with bf16 scales [groups, N] whose rows lie `scales.stride` bytes apart.
/// group_rows: rows of a whole group; first_group_offset: rows of the first group that lie before this shard.
/// The number of groups follows: ceil((first_group_offset + K) / group_rows).
inline PackedQ8 pack_q8(ThreadPool& pool, const Source<std::int8_t>& source, index_t K, index_t N,
                        const Source<bf16>& scales, index_t group_rows, index_t first_group_offset = 0) {
  PackedQ8 w(K, N, group_rows, first_group_offset);
  detail::pack_words(pool, source, w);
  for (index_t g = 0; g < w.groups(); ++g)
    for (index_t p = 0; p < w.panels(); ++p) {
      const index_t columns = std::min(panel_columns, N - p * panel_columns);
      std::memcpy(w.scales(p, g), scales.data + g * scales.stride + p * panel_columns * 2,
                  static_cast<std::size_t>(columns) * 2);
    }
  return w;
}

}  // namespace tess::host
