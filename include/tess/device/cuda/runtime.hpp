// The CUDA runtime in C++: errors become `Error`, streams and events own themselves, kernels are called like functions.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cuda_runtime.h>

#include <utility>

#include "../../core/error.hpp"
#include "../../core/types.hpp"

namespace tess::cuda {

using tess::NoDevice;  // thrown where there is no GPU or no driver

/// Throws Error naming `what` when a call of the runtime failed.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver)
    throw NoDevice(std::string("there is no CUDA device here: ") + cudaGetErrorString(status) +
                   ". Run it on a machine with an NVIDIA GPU and its driver, or with --device host.");
  fail("[cuda] ", what, " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

/// Work of one GPU in order. Move-only.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&&) = delete;
  ~Stream() {
    if (stream_) (void)cudaStreamDestroy(stream_);
  }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream, for other streams to wait for. Move-only.
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;
  ~Event() {
    if (event_) (void)cudaEventDestroy(event_);
  }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

/// How a kernel is launched. `shared`: bytes of dynamic shared memory (isa.hpp, shared_memory()). `overlaps`: it may start
/// before the kernel ahead of it has ended (programmatic dependent launch), and calls wait_for_previous_kernel() before it
/// reads what that one wrote.
struct Launch {
  dim3 grid, block;
  index_t shared = 0;
  bool overlaps = false;
};

inline dim3 blocks(index_t x, index_t y = 1, index_t z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}
constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }

/// kernel<<<...>>>(args...) on a stream; arguments are converted to the kernel's parameters. A grid without blocks is
/// nothing to do.
template <class... P, class... A>
void launch(cudaStream_t stream, void (*kernel)(P...), const Launch& how, A&&... args) {
  if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
  constexpr index_t without_asking = 48 << 10;  // bytes of shared memory
  if (how.shared > without_asking)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(how.shared)),
          "cudaFuncSetAttribute");
  cudaLaunchAttribute attribute[1] = {};
  attribute[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute[0].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = how.grid, config.blockDim = how.block;
  config.dynamicSmemBytes = static_cast<std::size_t>(how.shared);
  config.stream = stream;
  config.attrs = attribute, config.numAttrs = how.overlaps ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(std::forward<A>(args))...), "a kernel's launch");
}

}  // namespace tess::cuda
