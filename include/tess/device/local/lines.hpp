// The lines of a local array along some of its dimensions: where each begins, and how it goes on.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "strided.hpp"

namespace tess::local {

/// Lines are counted row-major over the other dimensions, and elements of a line over its own.
struct LineWalk {
  int in_line = 0, others = 0;  // dimensions
  Ranks line_extent{}, line_stride{}, other_extent{}, other_stride{};
  index_t length = 1;

  constexpr index_t begin(index_t line) const { return offset_of(line, others, other_extent, other_stride); }
  constexpr index_t step(index_t i) const { return offset_of(i, in_line, line_extent, line_stride); }
};

/// Of an array [extent...] the lines along `dims`, one bit each. Dimensions that follow one another become one.
constexpr LineWalk lines_along(int rank, const Ranks& extent, unsigned dims) {
  LineWalk w;
  index_t stride = 1;
  for (int d = rank - 1; d >= 0; --d) stride *= extent[static_cast<std::size_t>(d)];
  const auto push = [](int& count, Ranks& extents, Ranks& strides, index_t n, index_t step) {
    const auto last = static_cast<std::size_t>(count > 0 ? count - 1 : 0);
    if (count > 0 && strides[last] == n * step) {
      extents[last] *= n;
      strides[last] = step;
    } else {
      extents[static_cast<std::size_t>(count)] = n;
      strides[static_cast<std::size_t>(count++)] = step;
    }
  };
  for (int d = 0; d < rank; ++d) {
    const index_t n = extent[static_cast<std::size_t>(d)];
    stride = n ? stride / n : 0;
    if (dims >> d & 1u) {
      push(w.in_line, w.line_extent, w.line_stride, n, stride);
      w.length *= n;
    } else {
      push(w.others, w.other_extent, w.other_stride, n, stride);
    }
  }
  return w;
}

}  // namespace tess::local
