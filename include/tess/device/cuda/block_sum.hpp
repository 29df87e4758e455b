// Sums over the threads of a warp and of a block, in an order that never changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

#include "../../core/types.hpp"

namespace tess::cuda {

inline constexpr unsigned all_lanes = 0xffffffffu;

/// Every lane gets the sum of the warp's 32.
__device__ inline float warp_sum(float v) {
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(all_lanes, v, apart);
  return v;
}

/// Every thread gets the sum over a block of whole warps. `partial`: 32 numbers of shared memory that nobody uses until
/// the next barrier.
__device__ inline float block_sum(float v, float* partial) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  v = warp_sum(v);
  if (warps == 1) return v;
  if (lane == 0) partial[warp] = v;
  __syncthreads();
  return warp_sum(lane < warps ? partial[lane] : 0.0f);
}

}  // namespace tess::cuda
