// Rows of an embedding by token: what `take` does on the GPU.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "fours.hpp"
#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

/// Rows first … first + rows of a table of `all` rows: [rows, width], `pitch` elements apart.
struct TableShard {
  index_t first, rows, all, width, pitch;
};

template <class Y, class T>
__global__ void take_rows_kernel(Y* y, const T* table, TableShard shard, const i32* ids, bool whole, Fault* fault) {
  follow_previous_kernel();
  const index_t i = blockIdx.x, id = ids[i], row = id - shard.first;
  if (threadIdx.x == 0 && (id < 0 || id >= shard.all)) report(fault, FaultCode::token_outside_table, id, shard.all);
  const bool here = row >= 0 && row < shard.rows;
  y += i * shard.width;
  table += here ? row * shard.pitch : 0;
  for (index_t at = static_cast<index_t>(threadIdx.x) * 4; at < shard.width; at += static_cast<index_t>(blockDim.x) * 4)
    store_four(y, at, shard.width, whole, here ? load_four(table, at, shard.width, whole) : Four{});
}

/// y [n, width] = the rows of ids [n]; zeros for rows of other shards. Reports ids outside [0, all).
template <class Y, class T>
void take_rows(Gpu& gpu, Y* y, const T* table, const TableShard& shard, const i32* ids, index_t n) {
  gpu.run(take_rows_kernel<Y, T>, {.grid = blocks(n), .block = dim3(256), .overlaps = true}, y, table, shard, ids,
          whole_fours(shard.width) && whole_fours(shard.pitch), gpu.fault());
}

}  // namespace tess::cuda
