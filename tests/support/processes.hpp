// Processes of one program as threads of a test, each with a device and GPUs of its own, connected by NCCL.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <exception>
#include <thread>
#include <vector>

#include <tess/device/cuda/nccl.hpp>
#include <tess/device/cuda/options.hpp>

#include "gpus.hpp"

namespace support {

/// f(options) for each of `processes`, in a thread of its own where there are several; they share `gpus` equally, and the other
/// options are those given. Throws what one of them threw.
template <class F>
void in_processes(int gpus, int processes, F f, tess::cuda::Options options = {.patience = 60}) {
  const int each = gpus / processes;
  if (processes > 1) options.nccl_id = tess::cuda::make_nccl_id();
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(processes));
  const auto process = [&](int p) {
    try {
      tess::cuda::Options o = options;
      o.gpus.clear();
      for (int g = 0; g < each; ++g) o.gpus.push_back(p * each + g);
      o.process = p, o.processes = processes;
      f(o);
    } catch (...) {
      errors[static_cast<std::size_t>(p)] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int p = 1; p < processes; ++p) threads.emplace_back(process, p);
  process(0);
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace support
