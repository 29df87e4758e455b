// Peers: the GPUs of one process, which of them read each other's memory, and how they wait for each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <vector>

#include "gpu.hpp"

namespace tess::cuda {

class Peers {
 public:
  /// `direct`: let GPUs read each other's memory wherever they can.
  Peers(std::vector<Gpu*> gpus, bool direct) : gpus_(std::move(gpus)), sees_(gpus_.size() * gpus_.size()) {
    for (std::size_t a = 0; a < gpus_.size(); ++a) {
      gpus_[a]->use();
      reached_.emplace_back();
      for (std::size_t b = 0; b < gpus_.size(); ++b)
        sees_[a * gpus_.size() + b] =
            gpus_[a]->ordinal() == gpus_[b]->ordinal() || (direct && enable(*gpus_[a], *gpus_[b]));
    }
  }

  /// May kernels of GPU `a` read the memory of `b`?
  bool sees(index_t a, index_t b) const {
    return sees_[static_cast<std::size_t>(a) * gpus_.size() + static_cast<std::size_t>(b)];
  }
  /// What is queued later, on any of them, comes after all that is queued now on all of them.
  void meet() {
    if (gpus_.size() == 1) return;
    for (std::size_t a = 0; a < gpus_.size(); ++a) {
      gpus_[a]->use();
      check(cudaEventRecord(reached_[a], gpus_[a]->stream()), "cudaEventRecord");
    }
    for (std::size_t a = 0; a < gpus_.size(); ++a) {
      gpus_[a]->use();
      for (std::size_t b = 0; b < gpus_.size(); ++b)
        if (a != b) check(cudaStreamWaitEvent(gpus_[a]->stream(), reached_[b], 0), "cudaStreamWaitEvent");
    }
  }

 private:
  std::vector<Gpu*> gpus_;
  std::vector<char> sees_;  // by pair
  std::vector<Event> reached_;

  static bool enable(const Gpu& from, const Gpu& to) {
    int can = 0;
    check(cudaDeviceCanAccessPeer(&can, from.ordinal(), to.ordinal()), "cudaDeviceCanAccessPeer");
    if (!can) return false;
    const cudaError_t status = cudaDeviceEnablePeerAccess(to.ordinal(), 0);
    (void)cudaGetLastError();
    return status == cudaSuccess || status == cudaErrorPeerAccessAlreadyEnabled;  // else copy engines bring it
  }
};

}  // namespace tess::cuda
