// The parts of the benchmark on a GPU.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "measure.hpp"

namespace bench {

/// Every operation of one of eight ranks of Grok-1 on its own.
std::vector<Row> measure_operations(Cuda& dev, const Ceilings& ceilings);

/// One pass of the whole model, as one of eight ranks computes it.
struct Pass {
  std::string name;
  double seconds = 0;        // measured: all kernels of this rank, without communication
  double communication = 0;  // modelled: 128 all-reduces (gpu.md 1.4, NCCL's own model of symmetric kernels on 8 H100)
  double must = 0, stretch = 0;
  index_t tokens = 0;  // that come of it
};
/// 64 layers of Grok-1 in full size with random int8 weights. Decoding at batch 1, 8 and 64 with a context of 8192, and
/// prefill of 1024 and 8192 tokens.
std::vector<Pass> replay_rank(int gpu);

}  // namespace bench
