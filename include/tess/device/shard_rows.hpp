// ShardRows: a shard of a parameter as a device with memory of its own takes it: row by row, whatever it is read from.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>

#include "../tensor/dtype.hpp"

namespace tess {

/// A matrix [rows, columns] of T that is written where it is wanted: `write(first, last, out, pitch)` puts the rows
/// [first, last) to `out`, `pitch` elements from one to the next. What lies between rows is left as it is.
template <class T>
struct ShardRows {
  using element = T;
  index_t rows = 0, columns = 0;
  std::function<void(index_t first, index_t last, T* out, index_t pitch)> write;
};

/// `count` matrices [K, N] one below the other, `elements` [count · K, N]. int8 have scales, one row [N] for each group of
/// rows that a matrix touches: its row k belongs to group (first_group_offset + k) / group_rows.
template <class E>
struct ShardWeights {
  using element = E;
  index_t count = 1;
  ShardRows<E> elements;
  ShardRows<bf16> scales{};
  index_t group_rows = 1, first_group_offset = 0;

  index_t rows() const { return count ? elements.rows / count : 0; }  // K
};

/// An embedding [V, D]: in f32 where it is known so exactly (`exact.write` is empty otherwise), and rounded to bf16.
struct ShardTable {
  ShardRows<f32> exact;
  ShardRows<bf16> rounded;
};

}  // namespace tess
