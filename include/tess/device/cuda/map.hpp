// map: a function of single elements over arrays in the memory of a GPU, contiguous or stretched.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

/// What a thread of `map` takes at once: of f32 two loads of 16 bytes, of bf16 one.
inline constexpr index_t run_length = 8;
template <class T>
struct alignas(std::min<std::size_t>(16, run_length * sizeof(T))) Run {
  T at[run_length];
};

/// y[i] = f(x[i]...), i < n. Arrays begin at a multiple of 16 bytes.
template <class F, class Y, class... X>
__global__ void map_kernel(F f, Y* y, index_t n, const X*... x) {
  follow_previous_kernel();
  const index_t first = thread_number() * run_length;
  if (first + run_length <= n) {
    [&](const Run<X>... in) {
      Run<Y> out;
      for (index_t j = 0; j < run_length; ++j) out.at[j] = rounded_to<Y>(f(widened(in.at[j])...));
      *reinterpret_cast<Run<Y>*>(y + first) = out;
    }(*reinterpret_cast<const Run<X>*>(x + first)...);
  } else {
    for (index_t i = first; i < n; ++i) y[i] = rounded_to<Y>(f(widened(x[i])...));
  }
}

/// y[i] = f(x[i]...) for n elements each, computed as they are, bf16 in f32, and rounded once to Y. `y` may be one of x.
template <class F, class Y, class... X>
void map(Gpu& gpu, F f, Y* y, index_t n, const X*... x) {
  void (*kernel)(F, Y*, index_t, const X*...) = map_kernel<F, Y, X...>;
  gpu.run(kernel, a_thread_each(ceil_div(n, run_length), 128), f, y, n, x...);
}

/// Extents of y, its last dimension last.
struct Extent {
  int rank = 0;
  Ranks extent{};
  index_t size = 1;
};

template <class F, class Y, class... X>
__global__ void map_strided_kernel(F f, Y* y, Extent box, Strided<X>... x) {
  follow_previous_kernel();
  const index_t i = thread_number();
  if (i < box.size) y[i] = rounded_to<Y>(f(widened(x.data[place_of(i, box.rank, box.extent, x.stride)])...));
}

/// The same where operands are strided, or stretch with strides of 0: y [extent...] is contiguous.
template <class F, class Y, class... X>
void map_strided(Gpu& gpu, F f, Y* y, int rank, const Ranks& extent, Strided<X>... x) {
  Extent box;  // y with as few dimensions as possible: two become one where every operand goes on as y does
  for (int d = 0; d < rank; ++d) {
    const auto k = static_cast<std::size_t>(d);
    box.size *= extent[k];
    if (extent[k] == 1) continue;
    const auto last = static_cast<std::size_t>(box.rank > 0 ? box.rank - 1 : 0);
    if (box.rank > 0 && ((x.stride[last] == extent[k] * x.stride[k]) && ...)) {
      box.extent[last] *= extent[k];
      ((x.stride[last] = x.stride[k]), ...);
    } else {
      const auto to = static_cast<std::size_t>(box.rank++);
      box.extent[to] = extent[k];
      ((x.stride[to] = x.stride[k]), ...);
    }
  }
  void (*kernel)(F, Y*, Extent, Strided<X>...) = map_strided_kernel<F, Y, X...>;
  gpu.run(kernel, a_thread_each(box.size), f, y, box, x...);
}

template <class F, class Y>
__global__ void fill_by_index_kernel(F f, Y* y, Extent box, Ranks first) {
  follow_previous_kernel();
  const index_t i = thread_number();
  if (i >= box.size) return;
  index_t rest = i;
  Ranks index{};
  for (int d = box.rank - 1; d >= 0; --d) {
    const auto k = static_cast<std::size_t>(d);
    index[k] = first[k] + take_remainder(rest, box.extent[k]);
  }
  y[i] = rounded_to<Y>(f(index));
}

/// y[i, j, …] = f({i, j, …}), counted from `first`.
template <class F, class Y>
void fill_by_index(Gpu& gpu, F f, Y* y, int rank, const Ranks& extent, const Ranks& first) {
  Extent box{rank, extent};
  for (int d = 0; d < rank; ++d) box.size *= extent[static_cast<std::size_t>(d)];
  gpu.run(fill_by_index_kernel<F, Y>, a_thread_each(box.size), f, y, box, first);
}

/// A function of nothing.
template <class T>
struct Value {
  T value;
  constexpr auto operator()() const { return widened(value); }
};

}  // namespace tess::cuda
