// Lookups by index in local arrays, and their transpose: rows that this device does not hold count as zeros.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "../local/lookup.hpp"
#include "thread_pool.hpp"

namespace tess::host {
using namespace local;

/// y[i] = table[ids[i]], zero where the row is elsewhere.
template <class Y, class X, class I>
void gather_rows(ThreadPool& pool, Y* y, const X* table, const I* ids, const LookupWalk& walk) {
  pool.for_range(walk.size(), 4096, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const index_t id = ids[offset_of(i, walk.rank, walk.extent, walk.ids)];
      y[i] = walk.holds(id)
                 ? static_cast<Y>(
                       table[offset_of(i, walk.rank, walk.extent, walk.table) + (id - walk.first) * walk.row_stride])
                 : Y{};
    }
  });
}

/// table[ids[i]] += updates[i], in the order of i; `table` holds zeros before. `updates` walks by its own strides.
template <class Y, class X, class I>
void scatter_rows(Y* table, const X* updates, const I* ids, const LookupWalk& walk, const Ranks& stride) {
  const index_t n = walk.size();
  for (index_t i = 0; i < n; ++i) {
    const index_t id = ids[offset_of(i, walk.rank, walk.extent, walk.ids)];
    if (!walk.holds(id)) continue;
    Y& row = table[offset_of(i, walk.rank, walk.extent, walk.table) + (id - walk.first) * walk.row_stride];
    row = static_cast<Y>(row + static_cast<Y>(updates[offset_of(i, walk.rank, walk.extent, stride)]));
  }
}

/// Throws Error for an id outside [0, rows).
template <class I>
void check_ids(const I* ids, index_t count, index_t rows) {
  for (index_t i = 0; i < count; ++i)
    if (ids[i] < 0 || ids[i] >= rows)
      fail("[take] token id ", static_cast<index_t>(ids[i]), " is outside the table of ", rows, " rows");
}

}  // namespace tess::host
