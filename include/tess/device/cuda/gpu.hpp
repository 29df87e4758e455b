// Gpu: one GPU of this process, the stream on which all its work is queued, and its memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "fault.hpp"
#include "memory_pool.hpp"
#include "runtime.hpp"

namespace tess::cuda {

/// For which GPUs was this very code compiled? 2: sm_90a; 1: others since sm_90, whose kernels can wait for the one ahead; 0:
/// older ones. Code for other architectures runs on an H100 as well, without its instructions.
template <class = void>
__global__ void find_instructions_kernel(Fault* answer) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(TESS_EMULATED_ISA)
  answer->found = 2;
#elif __CUDA_ARCH__ >= 900
  answer->found = 1;
#else
  answer->found = 0;
#endif
}

/// All kernels and copies of a GPU go to one stream: what is queued later comes later.
class Gpu {
 public:
  /// Throws NoDevice where there is no GPU, Error for a number that is not there.
  explicit Gpu(int ordinal) : ordinal_(ordinal) {
    int count = 0;
    check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
    if (ordinal < 0 || ordinal >= count)
      fail("[cuda] there is no GPU number ", ordinal, "; this machine has ", count, ", numbered from 0");
    use();
    check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, ordinal), "cudaDeviceGetAttribute");
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal), "cudaDeviceGetAttribute");
    capability_ = major * 10 + minor;
    check(cudaDeviceGetAttribute(&shared_limit_, cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal),
          "cudaDeviceGetAttribute");
    if (capability_ < 80)
      fail("[cuda] GPU ", ordinal, " has compute capability ", major, ".", minor, "; 8.0 (A100) or newer is needed");
    stream_ = std::make_unique<Stream>();
    void* fault = nullptr;
    check(cudaHostAlloc(&fault, sizeof(Fault), cudaHostAllocMapped | cudaHostAllocPortable), "cudaHostAlloc");
    fault_ = {static_cast<Fault*>(new (fault) Fault), [](Fault* f) { (void)cudaFreeHost(f); }};
    counters_ = memory_.keep(counter_count * static_cast<index_t>(sizeof(std::uint32_t)), stream());
    if (capability_ >= 90) {
      run(find_instructions_kernel<>, {.grid = blocks(1), .block = blocks(1)}, fault_.get());
      check(cudaStreamSynchronize(stream()), "a kernel");
      const auto found = std::exchange(fault_->found, 0);
      overlaps_ = found >= 1, has_wgmma_ = found == 2 && capability_ == 90;
    }
  }

  int ordinal() const { return ordinal_; }
  int multiprocessors() const { return multiprocessors_; }
  int capability() const { return capability_; }          // 80, 90, 100 …
  bool has_wgmma() const { return has_wgmma_; }           // and TMA: sm_90, by code that was compiled for sm_90a
  index_t shared_limit() const { return shared_limit_; }  // bytes of shared memory that a block can have
  cudaStream_t stream() const { return *stream_; }
  MemoryPool& memory() { return memory_; }
  Fault* fault() const { return fault_.get(); }

  /// Zeros in which a kernel counts the blocks that have arrived; it leaves them zero.
  static constexpr index_t counter_count = 16384;
  std::uint32_t* counters() const { return static_cast<std::uint32_t*>(counters_.get()); }

  /// Makes it the current device of this thread.
  void use() const { check(cudaSetDevice(ordinal_), "cudaSetDevice"); }

  /// Queues a kernel.
  template <class... P, class... A>
  void run(void (*kernel)(P...), const Launch& how, A&&... args) {
    use();
    Launch possible = how;
    possible.overlaps = how.overlaps && overlaps_;
    launch(stream(), kernel, possible, std::forward<A>(args)...);
  }
  /// Working memory of a verb: free again for what is queued after its last copy is gone.
  template <class T>
  std::shared_ptr<T> scratch(index_t count) {
    use();
    return std::static_pointer_cast<T>(memory_.take(count * static_cast<index_t>(sizeof(T))));
  }
  /// Queues a copy of host memory, which may be changed as soon as the call returns. Throws Error while a step is recorded,
  /// which would read that memory each time.
  void upload(void* to, const void* from, index_t bytes) {
    use();
    cudaStreamCaptureStatus recorded = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(stream(), &recorded), "cudaStreamIsCapturing");
    if (recorded != cudaStreamCaptureStatusNone)
      fail("[cuda] a recorded step is given numbers that only the host has: its verb has to call needs_host()");
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream()),
          "a copy to the GPU");
  }
  /// Waits for what is queued, and copies to the host.
  void download(void* to, const void* from, index_t bytes) {
    if (watch_) wait();  // where it is watched
    use();
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream()),
          "a copy to the host");
    wait();
  }
  /// Waits for what is queued; throws what kernels reported.
  void wait() {
    use();
    if (watch_) wait_watched();
    else check(cudaStreamSynchronize(stream()), "a kernel");
    throw_if_reported(*fault_);
  }
  /// Is called with the seconds that the host has waited, while it waits: a kernel that waits for another process may never
  /// end. What it throws ends the waiting.
  void watch(std::function<void(double)> watch) { watch_ = std::move(watch); }

 private:
  int ordinal_, multiprocessors_ = 0, capability_ = 0, shared_limit_ = 0;
  bool has_wgmma_ = false;
  MemoryPool memory_;
  std::unique_ptr<Stream> stream_;
  std::shared_ptr<Fault> fault_;
  std::function<void(double)> watch_;
  std::shared_ptr<void> counters_;
  bool overlaps_ = false;  // kernels can: the GPU and the code that it runs are of sm_90 or newer

  void wait_watched() {
    const auto start = std::chrono::steady_clock::now();
    for (;;) {
      const cudaError_t status = cudaStreamQuery(stream());
      if (status != cudaErrorNotReady) return check(status, "a kernel");
      watch_(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      std::this_thread::yield();
    }
  }
};

}  // namespace tess::cuda
