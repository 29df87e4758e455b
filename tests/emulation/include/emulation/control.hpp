// What tests set and ask of the emulated machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime.hpp"

namespace emulation {

/// The machine has `n` GPUs of compute capability `capability` (80, 86, 90 …). To be called while nothing is under way.
inline void set_devices(int n, int capability = 90) {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  r.devices = n, r.capability = capability;
  Runtime::device() = 0;
}
/// Seconds without progress after which threads that wait are taken for dead. Returns what was before.
inline double set_patience(double seconds) { return std::exchange(Runtime::get().patience, seconds); }
/// Whether what is queued runs at once, or when somebody waits for it. A GPU may do either. Returns what was before.
inline bool set_eager(bool eager) { return std::exchange(Runtime::get().eager, eager); }
/// Whether threads and blocks run from the last to the first. Returns what was before.
inline bool set_reversed(bool reversed) { return std::exchange(Runtime::get().reversed, reversed); }
/// Bytes of memory of each GPU.
inline void set_memory(std::size_t bytes) { Runtime::get().memory_bytes = bytes; }
/// Kernels launched so far.
inline std::uint64_t launches() { return Runtime::get().launches; }
/// Blocks of memory asked of the driver so far.
inline std::uint64_t allocations() { return Runtime::get().allocations; }

}  // namespace emulation
