// Where a model runs: --device and --gpus, as all programs have them, and what a launcher of several processes says.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <tess/device/cuda/environment.hpp>

#include "option_checks.hpp"

namespace program {

#if TESS_WITH_CUDA
inline constexpr bool has_cuda = true;
#else
inline constexpr bool has_cuda = false;
#endif

struct DeviceOptions {
  std::string device = "host";
  std::vector<int> gpus;  // empty: as many as there are, up to one for each device of the mesh

  bool on_cuda() const { return device == "cuda"; }
};

inline void add_device_options(CLI::App& app, DeviceOptions& o) {
  app.add_option("--device", o.device,
                 has_cuda ? "Where the model runs: this machine's processors, or NVIDIA GPUs"
                          : "Where the model runs: this machine's processors; cuda needs a build with CUDA")
      ->type_name("host|cuda")
      ->check(one_of({"host", "cuda"}))
      ->capture_default_str()
      ->group("Device");
  app.add_option("--gpus", o.gpus, "Numbers of the GPUs, 0,1,…; fewer than devices of the mesh simulate the rest [all]")
      ->type_name("N,N,…")
      ->delimiter(',')
      ->check(whole(0, 1023))
      ->group("Device");
}

/// Throws Error for what does not go together. `name`: the program's.
inline void check_device_options(const std::string& name, const DeviceOptions& o) {
  if (!o.on_cuda() && !o.gpus.empty()) tess::fail(name, ": --gpus needs --device cuda\nSee ", name, " --help");
  for (std::size_t i = 0; i < o.gpus.size(); ++i)
    if (std::count(o.gpus.begin(), o.gpus.end(), o.gpus[i]) > 1)
      tess::fail(name, ": --gpus names GPU ", o.gpus[i], " twice");
  if (o.on_cuda() && !has_cuda)
    tess::fail(name,
               " was built without CUDA\nInstall the CUDA Toolkit (scripts/install-packages cuda), configure with ",
               "-DTESS_CUDA=ON, and build again");
}

/// The options of the Cuda device; no GPU is named where the command line and the launcher name none. Of several processes
/// only the first writes to standard output.
inline tess::cuda::Options cuda_options(const DeviceOptions& o, int threads) {
  tess::cuda::Options options;
  options.gpus.clear();
  options = tess::cuda::options_from_environment(options);
  if (!o.gpus.empty()) options.gpus = o.gpus;
  options.threads = threads;
  if (options.process > 0 && !std::freopen("/dev/null", "w", stdout)) tess::fail("/dev/null cannot be opened");
  return options;
}

}  // namespace program
