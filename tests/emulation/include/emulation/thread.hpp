// Thread: a fibre in a block, and what threads show each other when they meet.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <bit>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fiber.hpp"
#include "types.hpp"

// What kernels ask for. They are set at each switch of fibres.
inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local dim3 blockDim{}, gridDim{};
inline constexpr int warpSize = 32;

namespace emulation {

/// What a kernel did wrong, with the kernel, block and thread that did it.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr unsigned warp_size = 32, max_threads = 1024, max_warps = max_threads / warp_size;
inline constexpr unsigned warpgroup_size = 128;

/// One bit a thread of a block.
struct ThreadSet {
  std::uint32_t warp[max_warps] = {};
  bool has(unsigned i) const { return warp[i / warp_size] >> i % warp_size & 1; }
  void add(unsigned i) { warp[i / warp_size] |= 1u << i % warp_size; }
  void remove(unsigned i) { warp[i / warp_size] &= ~(1u << i % warp_size); }
  bool any() const {
    for (const std::uint32_t w : warp)
      if (w) return true;
    return false;
  }
};

/// What threads do together. All that take part have to do the same.
enum class Meeting : int {
  none,
  syncthreads,
  syncthreads_or,
  syncthreads_and,
  syncthreads_count,
  named_barrier,
  syncwarp,
  shfl,
  shfl_xor,
  shfl_down,
  shfl_up,
  ballot,
  any,
  all,
  ldmatrix,
  mma,
  wgmma,
  other,
};
inline const char* name_of(Meeting m) {
  constexpr const char* names[] = {"nowhere",
                                   "__syncthreads",
                                   "__syncthreads_or",
                                   "__syncthreads_and",
                                   "__syncthreads_count",
                                   "a named barrier",
                                   "__syncwarp",
                                   "__shfl_sync",
                                   "__shfl_xor_sync",
                                   "__shfl_down_sync",
                                   "__shfl_up_sync",
                                   "__ballot_sync",
                                   "__any_sync",
                                   "__all_sync",
                                   "ldmatrix",
                                   "mma",
                                   "wgmma",
                                   "an operation of a warp"};
  return names[static_cast<int>(m)];
}

class Block;

/// An asynchronous copy of 16 bytes that has not landed.
struct PendingCopy {
  void* to;
  const void* from;  // nullptr: zeros
};

/// A thread of a block: a fibre that serves one block after the other.
struct Thread {
  Thread(void (*entry)(), unsigned i) : fiber(entry, i), number(i) {}
  Fiber fiber;
  unsigned number;  // in the block
  Block* block = nullptr;
  uint3 index{};
  Meeting waits_at = Meeting::none;
  const char* waits_for = nullptr;               // of pause()
  std::vector<PendingCopy> open_copies;          // of the group that is not committed
  std::vector<std::vector<PendingCopy>> copies;  // by group, the oldest first
  bool fenced = false;                           // it has called __threadfence
  std::shared_ptr<void> batches;                 // of emulated_isa_hopper.hpp
};
inline constinit thread_local Thread* current_thread = nullptr;

/// The fibres of one block. They are kept for the next.
using Crew = std::vector<std::unique_ptr<Thread>>;

/// The data that threads show each other when they meet: two of them, since a fast thread may be at the next meeting while
/// a slow one still reads what it was shown at this one.
class Desk {
 public:
  static constexpr std::size_t bytes = 64;
  struct alignas(16) Slot {
    std::byte data[bytes];
  };
  void prepare(unsigned threads) {
    if (slots_[0].size() < threads) slots_[0].resize(threads), slots_[1].resize(threads);
  }
  EMULATION_UNCHECKED std::byte* at(unsigned phase, unsigned thread) { return slots_[phase & 1].data()[thread].data; }

 private:
  std::vector<Slot> slots_[2];
};

/// Threads [first, first + size) of a block, which meet: a warp, a warpgroup, the block.
struct Group {
  unsigned first = 0, size = 0;
  unsigned alive = 0, arrived = 0, phase = 0;
  Meeting meeting = Meeting::none;
  unsigned argument = 0, leader = 0;  // of the one who came first
  unsigned votes[2] = {}, voters[2] = {};
  char tokens[2] = {};  // for TSan
};

}  // namespace emulation
