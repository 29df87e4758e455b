// Places of threads: which element is a thread's, and where it lies in strided arrays, by divisions as short as may be.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

#include "../local/elements.hpp"
#include "../local/strided.hpp"
#include "isa.hpp"
#include "runtime.hpp"

namespace tess::cuda {
using namespace local;
using local::rounded_to;  // beside those of other types, in this namespace
using local::widened;

/// Blocks of one dimension, a thread for each of `count`, for a kernel that begins with follow_previous_kernel().
inline Launch a_thread_each(index_t count, index_t threads = 256) {
  return {.grid = blocks(ceil_div(count, threads)), .block = blocks(threads), .overlaps = true};
}
/// The first step of a kernel that is launched with `overlaps` and has nothing to prepare: launching hides behind the kernel
/// ahead, and that of the next one behind this.
__device__ inline void follow_previous_kernel() {
  wait_for_previous_kernel();
  let_next_kernel_start();
}
/// The number of this thread among all of a one-dimensional grid.
__device__ inline index_t thread_number() {
  return static_cast<index_t>(blockIdx.x) * static_cast<index_t>(blockDim.x) + static_cast<index_t>(threadIdx.x);
}

/// `n` becomes n / by; returns n % by. n >= 0, by > 0. Divisions of 32 bits cost a quarter of those of 64.
__device__ inline index_t take_remainder(index_t& n, index_t by) {
  if (((n | by) >> 32) == 0) {
    const auto a = static_cast<std::uint32_t>(n), b = static_cast<std::uint32_t>(by), q = a / b;
    n = q;
    return a - q * b;
  }
  const index_t q = n / by, r = n - q * by;
  n = q;
  return r;
}

/// local::offset_of.
__device__ inline index_t place_of(index_t i, int rank, const Ranks& extent, const Ranks& stride) {
  index_t at = 0;
  for (int d = rank - 1; d > 0; --d) {
    const auto k = static_cast<std::size_t>(d);
    at += take_remainder(i, extent[k]) * stride[k];
  }
  return rank > 0 ? at + i * stride[0] : 0;
}

}  // namespace tess::cuda
