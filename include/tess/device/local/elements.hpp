// How elements of tensors are computed: bf16 in f32, results rounded once.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>

#include "../../tensor/dtype.hpp"

namespace tess::local {

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

}  // namespace tess::local
