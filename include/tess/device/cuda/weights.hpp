// Weights: the matrices of one shard of a parameter in the memory of a GPU, row by row as checkpoints have them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <type_traits>

#include "../../tensor/dtype.hpp"

namespace tess::cuda {

/// `count` matrices [rows = K, columns = N] of E = f32, bf16 or int8, all that a kernel knows of them. Rows begin at a
/// multiple of 16 bytes; what lies between a row's end and the next is zero. int8 have bf16 scales [count, groups, N]: row k
/// belongs to group (first_group_offset + k) / group_rows.
template <class E>
struct Weights {
  using element = E;
  static constexpr bool has_scales = std::is_same_v<E, std::int8_t>;
  static constexpr index_t elements_per_word = 16 / static_cast<index_t>(sizeof(E));  // of 16 bytes

  const E* data = nullptr;
  const bf16* scales = nullptr;
  index_t count = 0, rows = 0, columns = 0;
  index_t pitch = 0;               // elements from row to row
  index_t groups = 0;              // groups of which this shard has rows
  index_t scale_pitch = 0;         // elements from one group's scales to the next one's; a multiple of 8
  index_t group_rows = 1;          // rows of a whole group
  index_t first_group_offset = 0;  // rows of the first group that lie before this shard
  bool lasting = false;            // nobody writes it during a step: parameters that are loaded, not those gathered

  constexpr const E* matrix(index_t i) const { return data + i * rows * pitch; }
  constexpr const bf16* scales_of(index_t i) const { return scales + i * groups * scale_pitch; }
  constexpr index_t group_of(index_t k) const { return (first_group_offset + k) / group_rows; }
};

/// The shard of an embedding, one row [D] a token. `rows`: f32 as the checkpoint has them, for lookups; nullptr where it has
/// bf16. `rounded`: bf16, which products read: a matrix [V, D] of which the products contract the dimension that lies
/// together.
struct EmbeddingRows {
  const f32* rows = nullptr;
  const bf16* rounded = nullptr;
  index_t vocabulary = 0, width = 0;
  index_t pitch = 0;  // elements from row to row, of both
};

template <class E>
struct weight_element {
  using type = E;
};
template <index_t G>
struct weight_element<q8<G>> {
  using type = std::int8_t;
};
/// What packed<E> and table<E> keep: int8 for q8<G>.
template <class E>
using weight_element_t = typename weight_element<E>::type;

}  // namespace tess::cuda
