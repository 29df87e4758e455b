// How many GPUs a test has: as many as it asks for under the emulator, those of the machine otherwise.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>
#include <doctest/doctest.h>

namespace support {

/// Makes sure of `n` GPUs; false, and a warning in the test's output, where the machine has fewer.
inline bool has_gpus(int n) {
#ifdef TESS_EMULATED_ISA
  emulation::set_devices(n);
  return true;
#else
  int found = 0;
  const bool enough = cudaGetDeviceCount(&found) == cudaSuccess && found >= n;
  WARN_MESSAGE(enough, "left out: it needs ", n, " GPUs, and here are ", found);
  return enough;
#endif
}

}  // namespace support
