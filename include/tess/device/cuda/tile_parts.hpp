// What the tile kernels share: what they are told, bf16 from int8 in registers, and how results are stored.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "isa.hpp"
#include "tile_walk.hpp"

namespace tess::cuda {

/// The order of W in memory: [K, N], as weights are, or [N, K], as embeddings are.
enum class Order { k_by_n, n_by_k };

/// What tile kernels are told. x: bf16 terms, term t of row r of matrix i at x + t · x_term + (i · rows + r) · x_pitch, zero
/// from K to the next multiple of 8; with offsets, rows count through all matrices. W: Weights<bf16 or int8>; K-major: element (k, n) at data[n · pitch + k].
template <class E, class Y>
struct TileProduct {
  TileSpace space;
  const bf16* x = nullptr;
  index_t x_pitch = 0, x_term = 0;
  Weights<E> w;
  Y* y = nullptr;
  index_t ldy = 0, y_step = 0, y_split = 0;  // elements from row to row, matrix to matrix, part to part of K

  constexpr index_t x_row(const Tile& t) const { return (space.offsets ? 0 : t.matrix * space.rows) + t.row; }
  constexpr Y* y_row(const Tile& t, index_t row) const { return y + t.split * y_split + t.matrix * y_step + row * ldy; }
};

/// Byte j of a (lower half) and of b as bf16, exactly. A bf16 in [128, 256) counts by ones: 128 + the lower seven bits, less
/// 128, or 256 where the sign bit is set. Four instructions: a permutation, two of logic, one of arithmetic.
__device__ inline std::uint32_t bf16_from_int8(std::uint32_t a, std::uint32_t b, std::uint32_t j) {
  const std::uint32_t pair = permute_bytes(a, b, j * 0x1111u + 0x4400u);
  return add_bf16_pairs(masked_or(pair, 0x007f007fu, 0x43004300u), masked_or(pair, 0x00800080u, 0xc300c300u));
}

/// Scales of 8 consecutive columns as f32; zeros beyond the row.
template <class E>
__device__ void load_scales(float (&scale)[8], const Weights<E>& w, index_t matrix, index_t group, index_t column) {
  for (float& s : scale) s = 0.0f;
  if (column >= w.columns) return;
  const Words words = *reinterpret_cast<const Words*>(w.scales_of(matrix) + group * w.scale_pitch + column);
  for (int i = 0; i < 8; ++i)
    scale[i] = __uint_as_float(i % 2 ? words.word[i / 2] & 0xffff0000u : words.word[i / 2] << 16);
}

template <int N>
struct __attribute__((may_alias, aligned(N * 4))) AlignedWords {
  std::uint32_t word[N];
};
__device__ inline std::uint32_t load_word(const void* at) { return static_cast<const AlignedWords<1>*>(at)->word[0]; }

/// Stores v[0 … n) rounded, or as many of them as `there` says; in words where the address allows.
template <int n, class Y>
__device__ void store_run(Y* at, const float (&v)[n], index_t there) {
  constexpr int total = n * static_cast<int>(sizeof(Y)) / 4, words = total < 4 ? total : 4;
  using Word = AlignedWords<words>;
  if (there >= n && reinterpret_cast<std::uintptr_t>(at) % sizeof(Word) == 0) {
    for (int i = 0; i < total / words; ++i) {
      Word word;
      for (int j = 0; j < words; ++j) {
        const int at_word = i * words + j;
        if constexpr (std::is_same_v<Y, bf16>) word.word[j] = pack_bf16(v[2 * at_word], v[2 * at_word + 1]);
        else word.word[j] = __float_as_uint(v[at_word]);
      }
      reinterpret_cast<Word*>(at)[i] = word;
    }
  } else {
    for (int i = 0; i < n; ++i)
      if (i < there) at[i] = static_cast<Y>(v[i]);
  }
}

}  // namespace tess::cuda
