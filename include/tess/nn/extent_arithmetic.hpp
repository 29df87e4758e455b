// times, plus, minus: arithmetic of extents, dyn where one of them is known only at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess::nn {

constexpr index_t times(index_t a, index_t b) { return a == dyn || b == dyn ? dyn : a * b; }
constexpr index_t plus(index_t a, index_t b) { return a == dyn || b == dyn ? dyn : a + b; }
constexpr index_t minus(index_t a, index_t b) { return a == dyn || b == dyn ? dyn : a - b; }

}  // namespace tess::nn
