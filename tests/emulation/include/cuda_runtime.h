// The CUDA runtime and the words of CUDA C++, emulated on a CPU, so that g++ compiles kernels and tests run them.
// SPDX-License-Identifier: Apache-2.0
//
// A thread of a block is a fibre, and the fibres of a block take turns (emulation/block.hpp): they are switched where they
// wait for each other, at barriers and at operations of warps. Blocks run one after the other, or in turns where they wait for
// others (emulation/kernel.hpp). Streams, events and graphs are queues that the calling thread works off
// (emulation/stream.hpp, runtime.hpp), and the functions of the runtime are in emulation/api.hpp. What this proves, and what
// it cannot: docs/explanation/emulation.md.
#pragma once

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ \
  _Pragma("GCC error \"all shared memory of kernels is dynamic: shared_memory() of device/cuda/isa.hpp\"")
#define __constant__ _Pragma("GCC error \"kernels have no constant memory: give them arguments\"")

#define TESS_EMULATED_ISA "emulated_isa.hpp"

#include "emulation/api.hpp"
#include "emulation/control.hpp"
#include "emulation/intrinsics.hpp"
