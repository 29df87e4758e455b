// Which GPUs a program takes where nobody names any. Of CUDA sources.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <numeric>

#include <tess/cuda.hpp>

namespace program {

/// The options with GPUs: those that are named, or the first of this machine, at most one for each of `devices`; of fewer, a
/// number that divides them. Throws tess::NoDevice where there is no GPU.
inline tess::cuda::Options with_gpus(tess::cuda::Options options, tess::index_t devices) {
  if (!options.gpus.empty()) return options;
  int count = 0;
  tess::cuda::check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  tess::index_t n = std::min<tess::index_t>(count, devices);
  while (n > 1 && devices % n != 0) --n;
  options.gpus.resize(static_cast<std::size_t>(std::max<tess::index_t>(n, 1)));
  std::iota(options.gpus.begin(), options.gpus.end(), 0);
  return options;
}

}  // namespace program
