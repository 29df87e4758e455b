// LoadProgress: how far loading is, where somebody is looking.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include <tess/core/types.hpp>

namespace program {

/// Shown on standard error if that is a terminal.
class LoadProgress {
 public:
  ~LoadProgress() { clear(); }
  void operator()(tess::index_t done, tess::index_t all) {
    if (!shown_ || (done % 16 != 0 && done != all && all > 64)) return;
    fmt::print(stderr, "\rloading: {} of {} parameters", done, all);
    std::fflush(stderr);
    dirty_ = true;
  }
  void clear() {
    if (dirty_) fmt::print(stderr, "\r\033[K");
    dirty_ = false;
  }

 private:
  bool shown_ = isatty(STDERR_FILENO) != 0, dirty_ = false;
};

}  // namespace program
