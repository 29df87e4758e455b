// Rows whose words of 16 bytes are aligned and whole: copies of those that are not, padded with zeros.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "indexing.hpp"
#include "product.hpp"

namespace tess::cuda {

/// to [matrices, rows, pitch] from rows [K], `ld` apart, of matrices `step` apart. `end`: rows from *end on are left
/// alone; nullptr: there are none such.
template <class T>
__global__ void pad_rows(T* to, index_t pitch, const T* from, index_t ld, index_t step, index_t rows, index_t K,
                         const i32* end) {
  follow_previous_kernel();
  const index_t row = blockIdx.x, matrix = blockIdx.y;
  if (end && row >= *end) return;
  for (index_t k = threadIdx.x; k < pitch; k += blockDim.x)
    to[(matrix * rows + row) * pitch + k] = k < K ? from[matrix * step + row * ld + k] : T{};
}

/// Elements of T in 16 bytes.
template <class T>
inline constexpr index_t elements_per_word = 16 / static_cast<index_t>(sizeof(T));

/// A copy [matrices, rows, pitch] of rows [K], pitch the next multiple of 16 bytes.
template <class T>
std::shared_ptr<T> padded_copy(Gpu& gpu, const T* from, index_t ld, index_t step, index_t matrices, index_t rows,
                               index_t K, const i32* end = nullptr) {
  const index_t pitch = ceil_div(K, elements_per_word<T>) * elements_per_word<T>;
  auto copy = gpu.scratch<T>(matrices * rows * pitch);
  gpu.run(pad_rows<T>, {.grid = blocks(rows, matrices), .block = dim3(256), .overlaps = true}, copy.get(), pitch, from,
          ld, step, rows, K, end);
  return copy;
}

/// Lets p.x be a copy where its rows are not words of 16 bytes. Keep what is returned until the product is queued.
template <class X, class W, class Y>
std::shared_ptr<X> make_chunks_whole(Gpu& gpu, Product<X, W, Y>& p) {
  constexpr index_t word = elements_per_word<X>;
  const index_t K = contracted(p.w), count = p.offsets ? 1 : matrices(p.w);
  const bool whole = K % word == 0 && p.ldx % word == 0 && (count == 1 || p.x_step % word == 0) &&
                     reinterpret_cast<std::uintptr_t>(p.x) % 16 == 0;
  if (whole) return nullptr;
  auto copy = padded_copy(gpu, p.x, p.ldx, p.x_step, count, p.rows, K, p.offsets ? p.offsets + matrices(p.w) : nullptr);
  p.x = copy.get();
  p.ldx = ceil_div(K, word) * word;
  p.x_step = p.rows * p.ldx;
  return copy;
}

}  // namespace tess::cuda
