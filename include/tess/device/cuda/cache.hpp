// cache: what is new of a batch written to the cache, alone or together with the turning of queries and keys.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "rotary.hpp"

namespace tess::cuda {

/// Where new tokens go: token t of row b to position rows[b].start + t of slot rows[b].slot - first_slot.
template <class C>
struct CacheView {
  C* data = nullptr;  // [slots, capacity, line]
  index_t first_slot = 0, capacity = 0, line = 0;

  /// nullptr for a token that is padding.
  __device__ C* line_of(const Row& row, index_t token) const {
    return token < row.count ? data + ((row.slot - first_slot) * capacity + row.start + token) * line : nullptr;
  }
};

namespace detail {

/// A line of n elements, by all threads of the block.
template <class X, class C>
__device__ inline void copy_line(const X* x, C* to, index_t n) {
  if constexpr (std::is_same_v<X, C>) {
    constexpr index_t in_word = 16 / static_cast<index_t>(sizeof(C));
    if (n % in_word == 0) {
      for (index_t i = threadIdx.x; i < n / in_word; i += blockDim.x)
        reinterpret_cast<Words*>(to)[i] = reinterpret_cast<const Words*>(x)[i];
      return;
    }
  }
  for (index_t i = threadIdx.x; i < n; i += blockDim.x) to[i] = static_cast<C>(x[i]);
}

/// grid: tokens. x [batch, tokens, line].
template <class X, class C>
__global__ void append(const X* x, CacheView<C> cache, const Row* rows, index_t tokens) {
  follow_previous_kernel();
  const index_t token = blockIdx.x, b = token / tokens;
  if (C* const to = cache.line_of(rows[b], token - b * tokens)) copy_line(x + token * cache.line, to, cache.line);
}

/// grid: tokens. Queries [batch, tokens, query_heads, width] turn, keys [batch, tokens, key_heads, width] turn into the
/// cache, values [batch, tokens, line] go there as they are.
template <class X, class Y, class C>
__global__ void rotate_and_append(const X* q, Y* turned_q, const X* k, const X* v, CacheView<C> keys,
                                  CacheView<C> values, const Row* rows, index_t tokens, index_t query_heads,
                                  index_t key_heads, index_t width, const __grid_constant__ RotaryTurns turns) {
  follow_previous_kernel();
  const index_t token = blockIdx.x, b = token / tokens, t = token - b * tokens;
  const Row row = rows[b];
  const Turned turned(turns, row.start + t);
  turned.apply(turns, q + token * query_heads * width, turned_q + token * query_heads * width, query_heads, width);
  if (C* const to = keys.line_of(row, t)) turned.apply(turns, k + token * keys.line, to, key_heads, width);
  if (C* const to = values.line_of(row, t)) copy_line(v + token * values.line, to, values.line);
}

/// grid: columns, rows. y [rows, width] of x [rows, tokens, width].
template <class X, class Token>
__global__ void select_token(const X* x, X* y, Token token, index_t tokens, index_t width) {
  follow_previous_kernel();
  const index_t b = blockIdx.y, i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < width) y[b * width + i] = x[(b * tokens + token(b)) * width + i];
}

}  // namespace detail

/// The last real token of a row, as the GPU knows it; 0 if there is none.
struct LastOfRow {
  const Row* rows;
  __device__ index_t operator()(index_t b) const { return rows[b].count > 0 ? rows[b].count - 1 : 0; }
};
/// Tokens by number.
struct TokenOfRow {
  const index_t* number;
  __device__ index_t operator()(index_t b) const { return number[b]; }
};

/// y [rows, width]: of each row of x [rows, tokens, width] one token.
template <class X, class Token>
void select_token(Gpu& gpu, const X* x, X* y, Token token, index_t rows, index_t tokens, index_t width) {
  constexpr index_t threads = 256;
  gpu.run(detail::select_token<X, Token>,
          {.grid = blocks(ceil_div(width, threads), rows), .block = blocks(threads), .overlaps = true}, x, y, token,
          tokens, width);
}

/// Writes x [batch, tokens, line] to the cache; padding is not written.
template <class X, class C>
void append(Gpu& gpu, const X* x, const CacheView<C>& cache, const Row* rows, index_t batch, index_t tokens) {
  gpu.run(detail::append<X, C>, {.grid = blocks(batch * tokens), .block = blocks(128), .overlaps = true}, x, cache,
          rows, tokens);
}

/// As the kernel of this name, for a batch of tokens. Keys' and values' lines are whole heads.
template <class X, class Y, class C>
void rotate_and_append(Gpu& gpu, const X* q, Y* turned_q, const X* k, const X* v, const CacheView<C>& keys,
                       const CacheView<C>& values, const Row* rows, index_t batch, index_t tokens, index_t query_heads,
                       index_t key_heads, index_t width, const RotaryTurns& turns) {
  gpu.run(detail::rotate_and_append<X, Y, C>,
          {.grid = blocks(batch * tokens), .block = blocks(256), .shared = turns.shared(), .overlaps = true}, q,
          turned_q, k, v, keys, values, rows, tokens, query_heads, key_heads, width, turns);
}

}  // namespace tess::cuda
