// trace: the bill of a program, known before the program runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "dry.hpp"

namespace tess {

/// What f(dev, args...) costs one device: its own code, run on `Dry`. Tensors among the arguments are tensors of `Dry`,
/// and so are the parameters of a layer f. A constant expression wherever f is: `static_assert(trace(block,
/// x).collectives == 2)`.
template <class F, class... Args>
constexpr Cost trace(const F& f, Args&&... args) {
  Dry dev;
  (void)f(dev, std::forward<Args>(args)...);
  return dev.cost;
}

}  // namespace tess
