// Staging: pinned memory of the host, through which parameters go to GPUs while the next ones are read.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <span>

#include "gpu.hpp"

namespace tess::cuda {

/// All the host memory that uploads take: `blocks` blocks of at most `block_bytes`, but for rows that are longer.
class Staging {
 public:
  static constexpr std::size_t blocks = 3;

  explicit Staging(index_t block_bytes) : block_bytes_(std::max<index_t>(block_bytes, 1)) {}

  /// Copies `count` rows of `row_bytes` to the same place of each `to`: fill(first, last, out) writes rows into pinned
  /// memory. Returns when the last are queued; each GPU gets them in the order of its stream.
  template <class Fill>
  void copy(index_t count, index_t row_bytes, std::span<Gpu* const> gpus, std::span<void* const> to, Fill fill) {
    if (row_bytes == 0) return;
    const index_t together = std::max<index_t>(1, block_bytes_ / row_bytes);
    for (index_t first = 0; first < count; first += together) {
      const index_t last = std::min(count, first + together), bytes = (last - first) * row_bytes;
      Block& block = next(bytes);
      fill(first, last, block.memory.get());
      for (std::size_t g = 0; g < gpus.size(); ++g) {
        gpus[g]->upload(static_cast<std::byte*>(to[g]) + first * row_bytes, block.memory.get(), bytes);
        block.copied_to(*gpus[g]);
      }
    }
  }

  index_t bytes() const {
    index_t all = 0;
    for (const Block& b : blocks_) all += b.bytes;
    return all;
  }

 private:
  struct Block {
    std::shared_ptr<std::byte> memory;
    index_t bytes = 0;
    std::map<const Gpu*, Event> copied;  // the last copy from here to each GPU

    void copied_to(Gpu& gpu) {
      gpu.use();
      check(cudaEventRecord(copied[&gpu], gpu.stream()), "cudaEventRecord");
    }
    void wait() {
      for (auto& [gpu, event] : copied) check(cudaEventSynchronize(event), "a copy to the GPU");
    }
  };

  index_t block_bytes_;
  std::array<Block, blocks> blocks_;
  std::size_t last_ = 0;

  /// A block that nothing is copied from any more.
  Block& next(index_t bytes) {
    Block& block = blocks_[last_ = (last_ + 1) % blocks];
    block.wait();
    if (block.bytes < bytes) {
      block.memory.reset();
      const index_t wanted = std::max(bytes, std::min(2 * bytes, block_bytes_));
      void* memory = nullptr;
      check(cudaHostAlloc(&memory, static_cast<std::size_t>(wanted), cudaHostAllocPortable), "cudaHostAlloc");
      block.memory = {static_cast<std::byte*>(memory), [](std::byte* p) { (void)cudaFreeHost(p); }};
      block.bytes = wanted;
    }
    return block;
  }
};

}  // namespace tess::cuda
