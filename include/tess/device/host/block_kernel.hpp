// BlockKernel: the innermost step of every matmul, one block of K for some rows and one panel of 32 columns.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "cpu.hpp"
#include "packed.hpp"

namespace tess::host {

/// How a matmul takes f32 activations where the CPU has dot products of the weights' type. Elsewhere they stay f32.
///   two_terms: int8 weights: x = s (q1 + q2 / 254) per row and block, both int8, error about 3e-5 of the result (for
///              Gaussian activations); bf16 weights: x as the sum of two bf16, error about 1e-5.
///   one_term:  twice as fast, opt-in. int8: x = s q1, error about 7e-3, more with outliers; bf16: x rounded to bf16,
///              as the reference rounds it, error about 2e-3.
enum class Activations { two_terms, one_term };

namespace detail {

/// Activations are prepared once per matmul: words [blocks][rows][terms][words of a block, always 256 rows of K].
/// A word holds what one step of the kernel multiplies: one f32, two bf16 or four int8.
enum class Form { f32_words, bf16_words, int8_words };

constexpr index_t words_in_block(Form form) {
  return form == Form::f32_words ? block_rows : form == Form::bf16_words ? block_rows / 2 : block_rows / 4;
}

/// Of one row in one block, for int8 words: x = scale (q1 + q2 / 254), and what cancels the + 128 of the weights.
struct RowScale {
  f32 scale;             // NaN if the block holds a NaN or an infinity
  std::int32_t bias[2];  // -128 sum of q1, of q2
};

struct BlockArgs {
  const std::uint32_t* x;   // [rows][terms][words_in_block]
  const RowScale* x_scale;  // [rows], int8 words only
  index_t rows;
  const std::byte* w;   // [w_words][32] words of a panel
  index_t w_words;      // >= 1
  const bf16* w_scale;  // [32], int8 weights only
  f32* y;               // [rows][32], the block's product is added
};
using BlockKernel = void (*)(const BlockArgs&);

/// One row of activations in one block: fills `terms` runs of words, padded with zeros to a multiple of 4 rows.
template <class X>
using PrepareRow = void (*)(const X* x, index_t rows, std::uint32_t* words, RowScale* scale);

template <class X>
TESS_ALWAYS_INLINE void prepare_f32_row(const X* x, index_t rows, std::uint32_t* words) {
  for (index_t k = 0; k < rows; ++k) words[k] = std::bit_cast<std::uint32_t>(static_cast<f32>(x[k]));
  for (index_t k = rows; k % 4 != 0; ++k) words[k] = 0;
}

}  // namespace detail
}  // namespace tess::host
