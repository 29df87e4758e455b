// The product of two local arrays with any dimensions summed: both are laid out as matrices, then multiplied in tiles.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <vector>

#include "../local/contraction.hpp"
#include "cpu.hpp"
#include "thread_pool.hpp"

namespace tess::host {
using namespace local;

namespace detail {
/// Copies an operand, walked as [batch, outer, inner] and widened to T: line l, element i goes to `place(l, i)`.
template <class T, class X, class Place>
void lay_out(ThreadPool& pool, std::vector<T>& to, const X* x, const Walk& batch, const Walk& outer, const Walk& inner,
             Ranks Walk::*stride, Place place) {
  const index_t lines = batch.size() * outer.size(), width = inner.size();
  std::vector<index_t> at(static_cast<std::size_t>(width));
  for (index_t i = 0; i < width; ++i)
    at[static_cast<std::size_t>(i)] = offset_of(i, inner.rank, inner.extent, inner.*stride);
  pool.for_range(lines, 64, [&](index_t begin, index_t end) {
    for (index_t line = begin; line < end; ++line) {
      const X* from = x + offset_of(line / outer.size(), batch.rank, batch.extent, batch.*stride) +
                      offset_of(line % outer.size(), outer.rank, outer.extent, outer.*stride);
      for (index_t i = 0; i < width; ++i)
        to[static_cast<std::size_t>(place(line, i))] = static_cast<T>(from[at[static_cast<std::size_t>(i)]]);
    }
  });
}

inline constexpr index_t tile_rows = 8, tile_columns = 16;  // of sums, which stay in registers

/// sums[r, n] = sum over k of a[r][k] · b[k, n], k in order.
template <class T>
TESS_ALWAYS_INLINE void tile_body(T (&sums)[tile_rows][tile_columns], const T* const (&a)[tile_rows], const T* b,
                                  index_t K) {
  typedef T Lanes __attribute__((vector_size(tile_columns * sizeof(T))));  // (g++ ignores it in a dependent `using`)
  Lanes acc[tile_rows] = {};
  for (index_t k = 0; k < K; ++k, b += tile_columns) {
    Lanes line;
    __builtin_memcpy(&line, b, sizeof line);
#ifndef __CUDACC__  // which does not know it
    TESS_UNROLL(8)
#endif
    for (index_t r = 0; r < tile_rows; ++r) acc[r] += line * a[r][k];
  }
  __builtin_memcpy(sums, acc, sizeof sums);
}
#if TESS_X86
template <class T>
TESS_TARGET_AVX2 void tile_avx2(T (&sums)[tile_rows][tile_columns], const T* const (&a)[tile_rows], const T* b,
                                index_t K) {
  tile_body(sums, a, b, K);
}
template <class T>
TESS_TARGET_AVX512 void tile_avx512(T (&sums)[tile_rows][tile_columns], const T* const (&a)[tile_rows], const T* b,
                                    index_t K) {
  tile_body(sums, a, b, K);
}
#endif
template <class T>
void tile(T (&sums)[tile_rows][tile_columns], const T* const (&a)[tile_rows], const T* b, index_t K) {
#if TESS_X86
  if (cpu().isa == Isa::avx512) return tile_avx512(sums, a, b, K);
  if (cpu().isa == Isa::avx2) return tile_avx2(sums, a, b, K);
#endif
  tile_body(sums, a, b, K);
}
}  // namespace detail

/// y[b, m, n] = sum over k of x[b, m, k] · w[b, k, n], in T, k in order; rounded once to Y.
template <class T, class Y, class X, class W>
void contract(ThreadPool& pool, Y* y, const X* x, const W* w, const ContractionWalks& walks) {
  using namespace detail;
  const index_t B = walks.batch.size(), M = walks.rows.size(), N = walks.columns.size(), K = walks.summed.size();
  const index_t panels = (N + tile_columns - 1) / tile_columns, bands = (M + tile_rows - 1) / tile_rows;
  std::vector<T> a(static_cast<std::size_t>(B * M * K)), b(static_cast<std::size_t>(B * panels * K * tile_columns));
  lay_out(pool, a, x, walks.batch, walks.rows, walks.summed, &Walk::lhs,
          [K](index_t line, index_t k) { return line * K + k; });
  lay_out(pool, b, w, walks.batch, walks.summed, walks.columns, &Walk::rhs, [K, panels](index_t line, index_t n) {
    return ((line / K * panels + n / tile_columns) * K + line % K) * tile_columns + n % tile_columns;
  });
  std::vector<index_t> column(static_cast<std::size_t>(N));
  for (index_t n = 0; n < N; ++n)
    column[static_cast<std::size_t>(n)] = offset_of(n, walks.columns.rank, walks.columns.extent, walks.columns.out);
  pool.for_range(B * panels * bands, 1, [&](index_t begin, index_t end) {
    T sums[tile_rows][tile_columns];
    for (index_t i = begin; i < end; ++i) {
      const index_t batch = i / bands / panels, left = i / bands % panels * tile_columns, first = i % bands * tile_rows;
      const index_t rows = std::min(tile_rows, M - first), columns = std::min(tile_columns, N - left);
      const T* row[tile_rows];  // of a; behind the last one it is read again, and the sums are dropped
      for (index_t r = 0; r < tile_rows; ++r) row[r] = a.data() + (batch * M + first + std::min(r, rows - 1)) * K;
      tile(sums, row, b.data() + i / bands * K * tile_columns, K);
      Y* out = y + offset_of(batch, walks.batch.rank, walks.batch.extent, walks.batch.out);
      for (index_t r = 0; r < rows; ++r) {
        Y* to = out + offset_of(first + r, walks.rows.rank, walks.rows.extent, walks.rows.out);
        for (index_t n = 0; n < columns; ++n)
          to[column[static_cast<std::size_t>(left + n)]] = static_cast<Y>(sums[r][n]);
      }
    }
  });
}

}  // namespace tess::host
