// Activations as tensor cores take them: f32 split into one or two bf16 terms, rows aligned and padded with zeros.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "fours.hpp"
#include "indexing.hpp"
#include "tile_parts.hpp"

namespace tess::cuda {

/// to [Terms, matrices, rows, pitch] from x [rows, K], that of each matrix x_step further. The terms of a value add up to it
/// but for 2^-9 (one) or 2^-17 (two) of it. `end`: rows from *end on are left alone; nullptr: there are none such.
/// `whole`: rows of x are whole fours (fours.hpp).
template <int Terms, class X>
__global__ void split_into_terms(bf16* to, index_t pitch, const X* x, index_t ldx, index_t x_step, index_t rows,
                                 index_t K, const i32* end, bool whole) {
  follow_previous_kernel();
  const index_t row = blockIdx.x, matrix = blockIdx.y, term_step = rows * gridDim.y * pitch;
  if (end && row >= *end) return;
  const X* from = x + matrix * x_step + row * ldx;
  bf16* out = to + (matrix * rows + row) * pitch;
  for (index_t k = 4 * index_t{threadIdx.x}; k < pitch; k += 4 * index_t{blockDim.x}) {
    Four value = load_four(from, k, K, whole);
#pragma unroll
    for (int term = 0; term < Terms; ++term) {
      const AlignedWords<2> pairs{{pack_bf16(value.at[0], value.at[1]), pack_bf16(value.at[2], value.at[3])}};
      *reinterpret_cast<AlignedWords<2>*>(out + term * term_step + k) = pairs;
#pragma unroll
      for (int i = 0; i < 4; ++i)  // what is left for the next term
        value.at[i] -= __uint_as_float(i % 2 ? pairs.word[i / 2] & 0xffff0000u : pairs.word[i / 2] << 16);
    }
  }
}

/// The terms of a product's activations, and where they lie: memory of their own, or x itself where it serves as it is.
struct TermRows {
  const bf16* data = nullptr;
  index_t pitch = 0;  // elements, a multiple of 8
  std::shared_ptr<bf16> memory;
};

template <int Terms, class X, class W, class Y>
TermRows split_into_terms(Gpu& gpu, const Product<X, W, Y>& p) {
  const index_t K = contracted(p.w), count = p.offsets ? 1 : matrices(p.w);
  if constexpr (std::is_same_v<X, bf16>)
    if (count == 1 && K % 8 == 0 && p.ldx % 8 == 0 && reinterpret_cast<std::uintptr_t>(p.x) % 16 == 0)
      return {p.x, p.ldx, nullptr};
  const bool whole = whole_fours(K | p.ldx | p.x_step) && reinterpret_cast<std::uintptr_t>(p.x) % (4 * sizeof(X)) == 0;
  TermRows t;
  t.pitch = ceil_div(K, 8) * 8;
  t.memory = gpu.scratch<bf16>(Terms * count * p.rows * t.pitch);
  t.data = t.memory.get();
  gpu.run(split_into_terms<Terms, X>, {.grid = blocks(p.rows, count), .block = dim3(256), .overlaps = true},
          t.memory.get(), t.pitch, p.x, p.ldx, p.x_step, p.rows, K, p.offsets ? p.offsets + matrices(p.w) : nullptr,
          whole);
  return t;
}

}  // namespace tess::cuda
