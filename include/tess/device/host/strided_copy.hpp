// copy_strided: a strided copy of any number of dimensions. Every structural operation comes down to it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "../../tensor/strided_copy.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// y[to ...] = x[from ...] for every element of the box. x and y do not overlap.
template <class T>
void copy_strided(ThreadPool& pool, const StridedCopy& box, const T* x, T* y) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (box.size() == 0) return;
  const StridedCopy b = simplified(box);
  const StridedCopy::Side row = b[b.rank - 1];
  constexpr index_t grain = 8192;  // elements
  pool.for_range(b.size() / row.count, std::max<index_t>(1, grain / row.count), [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      index_t from = b.from, to = b.to, rest = i;
      for (int d = b.rank - 2; d >= 0; --d) {
        const index_t k = rest % b[d].count;
        from += k * b[d].from_step, to += k * b[d].to_step;
        rest /= b[d].count;
      }
      if (row.from_step == 1 && row.to_step == 1)
        std::memcpy(y + to, x + from, static_cast<std::size_t>(row.count) * sizeof(T));
      else
        for (index_t k = 0; k < row.count; ++k) y[to + k * row.to_step] = x[from + k * row.from_step];
    }
  });
}

}  // namespace tess::host
