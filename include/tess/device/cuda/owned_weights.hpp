// Memory for the matrices of a shard: rows at multiples of 16 bytes, with zeros between them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "gpu.hpp"
#include "storage.hpp"

namespace tess::cuda {

constexpr index_t round_up(index_t n, index_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// `count` matrices [rows, columns] and their scales, zero. `lasting`: they outlive steps, as parameters do.
/// group_rows, first_group_offset: of int8 (weights.hpp).
template <class E>
OwnedWeights<E> blank_weights(Gpu& gpu, index_t count, index_t rows, index_t columns, bool lasting,
                              index_t group_rows = 1, index_t first_group_offset = 0) {
  using W = Weights<E>;
  OwnedWeights<E> owned;
  W& w = owned.view;
  w.count = count, w.rows = rows, w.columns = columns, w.lasting = lasting;
  w.pitch = round_up(columns, W::elements_per_word);
  gpu.use();
  const auto zeros = [&](index_t bytes) {
    if (lasting) return gpu.memory().keep(bytes, gpu.stream());
    std::shared_ptr<void> block = gpu.memory().take(bytes);
    check(cudaMemsetAsync(block.get(), 0, static_cast<std::size_t>(bytes), gpu.stream()), "cudaMemsetAsync");
    return block;
  };
  owned.elements = zeros(count * rows * w.pitch * static_cast<index_t>(sizeof(E)));
  w.data = static_cast<const E*>(owned.elements.get());
  if constexpr (W::has_scales) {
    w.group_rows = group_rows, w.first_group_offset = first_group_offset;
    w.groups = rows ? (first_group_offset + rows - 1) / group_rows + 1 : 0;
    w.scale_pitch = round_up(columns, 8);
    owned.scales = zeros(count * w.groups * w.scale_pitch * static_cast<index_t>(sizeof(bf16)));
    w.scales = static_cast<const bf16*>(owned.scales.get());
  }
  return owned;
}

/// Queues a copy of `height` rows of `width` elements; rows lie `to_pitch` and `from_pitch` elements apart.
template <class T>
void copy_rows(Gpu& gpu, T* to, index_t to_pitch, const T* from, index_t from_pitch, index_t width, index_t height) {
  if (width == 0 || height == 0) return;
  constexpr auto bytes = [](index_t n) { return static_cast<std::size_t>(n) * sizeof(T); };
  gpu.use();
  check(cudaMemcpy2DAsync(to, bytes(to_pitch), from, bytes(from_pitch), bytes(width), static_cast<std::size_t>(height),
                          cudaMemcpyDefault, gpu.stream()),
        "cudaMemcpy2DAsync");
}

}  // namespace tess::cuda
