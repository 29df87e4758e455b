// TensorMap: what Hopper's tensor copies (TMA) are told of a tensor: its extents, pitches, and the box to copy.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "runtime.hpp"

#ifdef TESS_EMULATED_ISA
#include "emulated_tensor_map.hpp"
#else
#include <cuda.h>

namespace tess::cuda {

/// A kernel takes it as `const __grid_constant__ TensorMap`.
using TensorMap = CUtensorMap;

/// A tensor of up to three dimensions, innermost first, of T = bf16 or int8. Dimension 1 has `pitches[0]` elements from one
/// index to the next, dimension 2 `pitches[1]`: multiples of 16 bytes, and so is `data`. `box[0]` is 128 bytes. In shared
/// memory a box is rows of 128 bytes; chunk c of 16 bytes of row r lies at chunk c ^ (r % 8). Outside the tensor are zeros.
template <class T>
TensorMap tensor_map(const T* data, std::array<index_t, 3> extents, std::array<index_t, 2> pitches,
                     std::array<int, 3> box) {
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                              const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = [] {  // asked of the driver, so that programs need not link with it
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
          "cudaGetDriverEntryPoint");
#else
    check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found),
          "cudaGetDriverEntryPoint");
#endif
    if (found != cudaDriverEntryPointSuccess)
      fail("[cuda] the driver lacks cuTensorMapEncodeTiled: it is older than CUDA 12");
    return reinterpret_cast<Encode>(function);
  }();
  constexpr auto size = static_cast<index_t>(sizeof(T));
  const auto u64 = [](index_t n) { return static_cast<cuuint64_t>(n); };
  const auto u32 = [](int n) { return static_cast<cuuint32_t>(n); };
  const cuuint64_t extent[] = {u64(extents[0]), u64(extents[1]), u64(extents[2])};
  const cuuint64_t pitch[] = {u64(pitches[0] * size), u64(pitches[1] * size)};
  const cuuint32_t boxes[] = {u32(box[0]), u32(box[1]), u32(box[2])}, steps[] = {1, 1, 1};
  TensorMap map;
  const CUresult status = encode(&map, size == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3,
                                 const_cast<void*>(static_cast<const void*>(data)), extent, pitch, boxes, steps,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    fail("[cuda] cuTensorMapEncodeTiled failed (", static_cast<int>(status), ") for ", extents[2], " x ", extents[1],
         " x ", extents[0], " elements of ", size, " bytes, ", pitches[0], " from row to row");
  return map;
}

}  // namespace tess::cuda
#endif
