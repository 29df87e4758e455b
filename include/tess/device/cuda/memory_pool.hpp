// MemoryPool: the memory of one GPU, recycled in the order of its stream, so that a step of a model allocates nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime.hpp"

namespace tess::cuda {

/// Blocks that are free now or will be when the stream gets there. A replayed step has an arena of its own, because its
/// kernels know addresses.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { release(); }

  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto it = free_.find(bytes);
    if (it == free_.end()) return nullptr;
    void* block = it->second;
    free_.erase(it);
    return block;
  }
  void give_back(std::size_t bytes, void* block) {
    const std::lock_guard lock(mutex_);
    free_.emplace(bytes, block);
  }
  /// Gives what is free to the driver; returns the bytes.
  std::size_t release() {
    const std::lock_guard lock(mutex_);
    std::size_t bytes = 0;
    for (auto& [size, block] : free_) bytes += size, (void)cudaFree(block);
    free_.clear();
    return bytes;
  }

 private:
  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
};

class MemoryPool {
 public:
  /// At least `bytes`, at a multiple of 256, not cleared. Goes back when the last copy is gone: whoever takes it next on
  /// this GPU's stream comes after all work that is queued now.
  std::shared_ptr<void> take(index_t bytes) {
    const std::size_t size = size_class(bytes);
    std::shared_ptr<Arena> arena = arena_;
    void* block = arena->take(size);
    if (!block) block = fresh(size);
    return {block, [arena, size](void* p) { arena->give_back(size, p); }};
  }
  /// Memory that outlives steps, such as weights and caches: cleared, and given to the driver at its end.
  std::shared_ptr<void> keep(index_t bytes, cudaStream_t stream) {
    const std::size_t size = size_class(bytes);
    void* block = fresh(size);
    check(cudaMemsetAsync(block, 0, size, stream), "cudaMemsetAsync");
    return {block, [](void* p) { (void)cudaFree(p); }};
  }

  std::shared_ptr<Arena> arena() const { return arena_; }
  /// From now on blocks come from this arena; returns the one before.
  std::shared_ptr<Arena> use(std::shared_ptr<Arena> arena) { return std::exchange(arena_, std::move(arena)); }
  /// Blocks asked of the driver so far: a step that is under way for the second time adds none.
  index_t allocations() const { return allocations_; }
  index_t bytes() const { return bytes_; }  // asked of the driver so far

 private:
  const std::shared_ptr<Arena> first_ = std::make_shared<Arena>();  // of what is not recorded
  std::shared_ptr<Arena> arena_ = first_;
  index_t allocations_ = 0, bytes_ = 0;

  /// Few distinct sizes, so that blocks fit again: eighths of powers of two.
  static std::size_t size_class(index_t bytes) {
#ifdef TESS_EMULATED_ISA
    return static_cast<std::size_t>(bytes > 1 ? bytes
                                              : 1);  // exact: the emulator's sanitizers look at what lies behind
#else
    std::size_t need = static_cast<std::size_t>(bytes > 256 ? bytes : 256), step = 256;
    while (step * 16 <= need) step *= 2;
    return (need + step - 1) / step * step;
#endif
  }
  void* fresh(std::size_t size) {
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;  // an allocation is no part of a step that is recorded
    check(cudaThreadExchangeStreamCaptureMode(&mode), "cudaThreadExchangeStreamCaptureMode");
    void* block = nullptr;
    cudaError_t status = cudaMalloc(&block, size);
    if (status == cudaErrorMemoryAllocation)
      if (const std::size_t released = first_->release(); released > 0) {  // graphs know the blocks of other arenas
        (void)cudaGetLastError();
        bytes_ -= static_cast<index_t>(released);
        status = cudaMalloc(&block, size);
      }
    (void)cudaThreadExchangeStreamCaptureMode(&mode);
    if (status == cudaErrorMemoryAllocation)
      fail("[cuda] out of memory: ", static_cast<index_t>(size), " bytes were asked for, ", bytes_,
           " are in use. Use more GPUs, a smaller batch or context, or int8 weights.");
    check(status, "cudaMalloc");
    ++allocations_, bytes_ += static_cast<index_t>(size);
    return block;
  }
};

}  // namespace tess::cuda
