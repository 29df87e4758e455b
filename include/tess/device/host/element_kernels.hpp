// Kernels over strided local arrays: a function of elements, row by row, and the reduction of lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "apply.hpp"
#include "strided.hpp"

namespace tess::host {

/// bf16 is computed in f32; other numbers as they are.
template <class T>
constexpr auto widened(T x) {
  if constexpr (std::is_same_v<T, bf16>) return static_cast<f32>(x);
  else return x;
}
template <class Y, class V>
constexpr Y rounded_to(V v) {
  if constexpr (std::is_same_v<Y, bf16>) {
    return Y(static_cast<f32>(v));
  } else if constexpr (std::is_floating_point_v<V> && std::is_integral_v<Y> && !std::is_same_v<Y, bool>) {
    // As XLA: NaN becomes 0, and what does not fit the nearest that does.
    constexpr Y low = std::numeric_limits<Y>::lowest(), high = std::numeric_limits<Y>::max();
    if (v != v) return 0;
    return v <= static_cast<V>(low) ? low : v >= static_cast<V>(high) ? high : static_cast<Y>(v);
  } else {
    return static_cast<Y>(v);
  }
}
template <class T>
inline constexpr bool computed_in_f32 = std::is_same_v<T, bf16> || std::is_same_v<T, f32>;

/// An operand seen with the extents of the result: elements that stretch have stride 0.
template <class T>
struct Strided {
  const T* data = nullptr;
  Ranks stride{};
};

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
  Ranks line_extent{}, line_stride{}, other_extent{}, other_stride{};
  int in_line = 0, others = 0;
  index_t length = 1, stride = 1;
  for (int d = rank - 1; d >= 0; --d) stride *= extent[static_cast<std::size_t>(d)];
  for (int d = 0; d < rank; ++d) {
    const auto k = static_cast<std::size_t>(d);
    stride = extent[k] ? stride / extent[k] : 0;
    const bool along = dims >> d & 1u;
    const auto to = static_cast<std::size_t>(along ? in_line++ : others++);
    (along ? line_extent : other_extent)[to] = extent[k];
    (along ? line_stride : other_stride)[to] = stride;
    length *= along ? extent[k] : 1;
  }
  for (index_t j = begin; j < end; ++j) {
    const X* line = x + offset_of(j, others, other_extent, other_stride);
    auto state = f.start();
    for (index_t i = 0; i < length; ++i)
      f.step(state, widened(line[offset_of(i, in_line, line_extent, line_stride)]), i);
    out[j] = rounded_to<Y>(f.finish(state));
  }
}

}  // namespace tess::host
