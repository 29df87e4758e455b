// Kernels over strided local arrays: a function of elements, row by row, and the reduction of lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../local/elements.hpp"
#include "../local/lines.hpp"
#include "apply.hpp"

namespace tess::host {
using namespace local;

/// Rows [begin, end) of out[extent...] = f(in[...]...), a row being the last dimension.
template <class F, class Y, class... X>
void map_rows(const F& f, Y* out, int rank, const Ranks& extent, index_t begin, index_t end, const Strided<X>&... in) {
  const auto last = static_cast<std::size_t>(rank > 0 ? rank - 1 : 0);
  const index_t width = rank > 0 ? extent[last] : 1;
  const auto row = [&](const auto& x, index_t r) { return x.data + offset_of(r, rank - 1, extent, x.stride); };
  for (index_t r = begin; r < end; ++r) {
    Y* y = out + r * width;
    if constexpr (computed_in_f32<Y> && (computed_in_f32<X> && ...)) {
      if (((in.stride[last] == 1) && ...)) {
        apply(f, y, width, row(in, r)...);
        continue;
      }
    }
    [&](const auto*... x) {
      for (index_t i = 0; i < width; ++i) y[i] = rounded_to<Y>(f(widened(x[i * in.stride[last]])...));
    }(row(in, r)...);
  }
}

/// Of `x` [extent...] the lines along `dims` (one bit each): out[j] = f.finish(all elements of line j), j < lines counted
/// row-major over the other dimensions. f.step(state, element, place in the line); lines [begin, end).
template <class F, class Y, class X>
void reduce_lines(const F& f, Y* out, const X* x, int rank, const Ranks& extent, unsigned dims, index_t begin,
                  index_t end) {
  const LineWalk walk = lines_along(rank, extent, dims);
  for (index_t j = begin; j < end; ++j) {
    const X* line = x + walk.begin(j);
    auto state = f.start();
    for (index_t i = 0; i < walk.length; ++i) f.step(state, widened(line[walk.step(i)]), i);
    out[j] = rounded_to<Y>(f.finish(state));
  }
}

}  // namespace tess::host
