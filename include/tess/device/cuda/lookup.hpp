// Lookups by index on a GPU, and their transpose: rows that the device does not hold count as zeros.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../local/lookup.hpp"
#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

/// Also looks at all of the ids: reports the first that it finds outside [0, limit).
template <class Y, class X, class I>
__global__ void gather_rows_kernel(Y* y, index_t size, const X* table, const I* ids, LookupWalk walk, const I* all_ids,
                                   index_t id_count, index_t limit, Fault* fault) {
  follow_previous_kernel();
  const index_t i = thread_number();
  if (i < id_count && (all_ids[i] < 0 || all_ids[i] >= limit))
    report(fault, FaultCode::token_outside_table, all_ids[i], limit);
  if (i >= size) return;
  const index_t id = ids[place_of(i, walk.rank, walk.extent, walk.ids)];
  y[i] =
      walk.holds(id)
          ? static_cast<Y>(table[place_of(i, walk.rank, walk.extent, walk.table) + (id - walk.first) * walk.row_stride])
          : Y{};
}

/// y[i] = table[ids[i]], zero where the row is elsewhere. `all_ids`: those that must lie in [0, limit).
template <class Y, class X, class I>
void gather_rows(Gpu& gpu, Y* y, const X* table, const I* ids, const LookupWalk& walk, const I* all_ids,
                 index_t id_count, index_t limit) {
  const index_t size = walk.size();
  gpu.run(gather_rows_kernel<Y, X, I>, a_thread_each(std::max(size, id_count)), y, size, table, ids, walk, all_ids,
          id_count, limit, gpu.fault());
}

/// A column: updates that differ only in the dimensions of the ids, [along, along + looked_up) of the walk. A thread adds
/// those of one, in order.
struct ColumnWalk {
  int others = 0, looked_up = 0;
  index_t columns = 1, length = 1;
  Ranks other_extent{}, other_ids{}, other_table{}, other_updates{};
  Ranks id_extent{}, id_ids{}, id_updates{};
};
inline ColumnWalk columns_of(const LookupWalk& walk, const Ranks& updates, int along, int looked_up) {
  ColumnWalk c;
  for (int d = 0; d < walk.rank; ++d) {
    const auto from = static_cast<std::size_t>(d);
    if (d >= along && d < along + looked_up) {
      const auto to = static_cast<std::size_t>(c.looked_up++);
      c.id_extent[to] = walk.extent[from], c.id_ids[to] = walk.ids[from], c.id_updates[to] = updates[from];
      c.length *= walk.extent[from];
    } else {
      const auto to = static_cast<std::size_t>(c.others++);
      c.other_extent[to] = walk.extent[from], c.other_ids[to] = walk.ids[from];
      c.other_table[to] = walk.table[from], c.other_updates[to] = updates[from];
      c.columns *= walk.extent[from];
    }
  }
  return c;
}

template <class Y, class X, class I>
__global__ void scatter_rows_kernel(Y* table, const X* updates, const I* ids, ColumnWalk walk, index_t first,
                                    index_t rows, index_t row_stride, const I* all_ids, index_t id_count, index_t limit,
                                    Fault* fault) {
  follow_previous_kernel();
  const index_t threads = static_cast<index_t>(gridDim.x) * static_cast<index_t>(blockDim.x);
  for (index_t i = thread_number(); i < id_count; i += threads)
    if (all_ids[i] < 0 || all_ids[i] >= limit) report(fault, FaultCode::token_outside_table, all_ids[i], limit);
  const index_t column = thread_number();
  if (column >= walk.columns) return;
  table += place_of(column, walk.others, walk.other_extent, walk.other_table);
  updates += place_of(column, walk.others, walk.other_extent, walk.other_updates);
  ids += place_of(column, walk.others, walk.other_extent, walk.other_ids);
  for (index_t i = 0; i < walk.length; ++i) {
    const index_t id = static_cast<index_t>(ids[place_of(i, walk.looked_up, walk.id_extent, walk.id_ids)]) - first;
    if (id < 0 || id >= rows) continue;
    Y& row = table[id * row_stride];
    row = static_cast<Y>(row + static_cast<Y>(updates[place_of(i, walk.looked_up, walk.id_extent, walk.id_updates)]));
  }
}

/// table[ids[i]] += updates[i], each sum rounded to Y, in the order of i: the same on every run. `table` holds zeros
/// before. Updates walk by their own strides; ids stand at the walk's dimensions [along, along + looked_up).
template <class Y, class X, class I>
void scatter_rows(Gpu& gpu, Y* table, const X* updates, const I* ids, const LookupWalk& walk, const Ranks& stride,
                  int along, int looked_up, const I* all_ids, index_t id_count, index_t limit) {
  const ColumnWalk columns = columns_of(walk, stride, along, looked_up);
  gpu.run(scatter_rows_kernel<Y, X, I>, a_thread_each(std::max<index_t>(columns.columns, 1), 64), table, updates, ids,
          columns, walk.first, walk.rows, walk.row_stride, all_ids, id_count, limit, gpu.fault());
}

}  // namespace tess::cuda
