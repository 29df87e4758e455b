// apply: a function of single elements over whole arrays, compiled for the widest vectors that this CPU has.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "../../tensor/dtype.hpp"
#include "cpu.hpp"

namespace tess::host {

namespace detail {

inline constexpr index_t apply_lanes = 64;  // loops of a constant number of turns become vector code at -O2 too

template <class X>
TESS_ALWAYS_INLINE void widen(f32 (&to)[apply_lanes], const X* from, index_t count) {
  if (count == apply_lanes)
    for (index_t j = 0; j < apply_lanes; ++j) to[j] = static_cast<f32>(from[j]);
  else
    for (index_t j = 0; j < count; ++j) to[j] = static_cast<f32>(from[j]);
}

/// Elements beyond the end are computed from zeros and dropped.
template <class F, class Y, class... X>
TESS_ALWAYS_INLINE void apply_body(F f, Y* out, index_t n, const X*... in) {
  f32 wide[sizeof...(X)][apply_lanes] = {};
  f32 result[apply_lanes];
  for (index_t i = 0; i < n; i += apply_lanes) {
    const index_t count = std::min(apply_lanes, n - i);
    int k = 0;
    (widen(wide[k++], in + i, count), ...);
    [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
      for (index_t j = 0; j < apply_lanes; ++j) result[j] = f(wide[I][j]...);
    }
    (std::index_sequence_for<X...>{});
    if (count == apply_lanes)
      for (index_t j = 0; j < apply_lanes; ++j) out[i + j] = static_cast<Y>(result[j]);
    else
      for (index_t j = 0; j < count; ++j) out[i + j] = static_cast<Y>(result[j]);
  }
}
#if TESS_X86
template <class F, class Y, class... X>
TESS_TARGET_AVX2 void apply_avx2(F f, Y* out, index_t n, const X*... in) {
  apply_body(f, out, n, in...);
}
template <class F, class Y, class... X>
TESS_TARGET_AVX512 void apply_avx512(F f, Y* out, index_t n, const X*... in) {
  apply_body(f, out, n, in...);
}
#endif

}  // namespace detail

/// out[i] = f(in[i]...), i < n, arguments widened to f32 and the result rounded once to Y. `out` may be one of `in`.
template <class F, class Y, class... X>
void apply(F f, Y* out, index_t n, const X*... in) {
#if TESS_X86
  if (cpu().isa == Isa::avx512) return detail::apply_avx512(f, out, n, in...);
  if (cpu().isa == Isa::avx2) return detail::apply_avx2(f, out, n, in...);
#endif
  detail::apply_body(f, out, n, in...);
}

}  // namespace tess::host
