// exp, tanh and the activation functions in f32, branch-free so that loops over them become vector code.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "../core/attributes.hpp"
#include "dtype.hpp"

namespace tess::math {

namespace detail {

/// exp(x) = 2^n (1 + fraction) for |x| < 127 ln 2, x = n ln 2 + r, |r| <= ln 2 / 2; fraction = r + r^2 / 2! + … + r^7
/// / 7!.
struct ExpParts {
  std::int32_t n;
  f32 fraction;
};
TESS_ALWAYS_INLINE constexpr ExpParts exp_parts(f32 x) {
  constexpr f32 magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  const f32 shifted = x * 1.44269504088896341f + magic;
  const f32 n = shifted - magic;
  const f32 r = (x - n * 0.693359375f) - n * -2.12194440054690583e-4f;  // ln 2 in two parts; n times the first is exact
  f32 q = 1.0f / 5040;
  q = q * r + 1.0f / 720;
  q = q * r + 1.0f / 120;
  q = q * r + 1.0f / 24;
  q = q * r + 1.0f / 6;
  q = q * r + 0.5f;
  return {std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(magic), q * r * r + r};
}
TESS_ALWAYS_INLINE constexpr f32 power_of_two(std::int32_t n) { return std::bit_cast<f32>((n + 127) << 23); }

}  // namespace detail

/// e^x to about 1 ulp; 0 below -87.3 (no denormals), infinity above 88.7, NaN for NaN.
struct Exp {
  static TESS_ALWAYS_INLINE constexpr f32 apply(f32 x) {
    const f32 above = x < -87.33f ? -87.33f : x;
    const f32 inside = above > 89.0f ? 89.0f : above;
    const detail::ExpParts e = detail::exp_parts(inside);
    const std::int32_t half = e.n >> 1;  // 2^128 is no number, 2^64 is
    const f32 y = (e.fraction + 1.0f) * detail::power_of_two(half) * detail::power_of_two(e.n - half);
    return x < -87.33f ? 0.0f : y;
  }
};

/// tanh x to a few ulp, also near zero: (e^2x - 1) / (e^2x + 1) with e^2x - 1 computed without cancellation.
struct Tanh {
  static TESS_ALWAYS_INLINE constexpr f32 apply(f32 x) {
    const f32 above = x < -10.0f ? -10.0f : x;
    const detail::ExpParts e = detail::exp_parts(2.0f * (above > 10.0f ? 10.0f : above));
    const f32 power = detail::power_of_two(e.n);
    const f32 less_one = power * e.fraction + (power - 1.0f);
    return less_one / (less_one + 2.0f);
  }
};

/// x / (1 + e^-x).
struct Silu {
  static TESS_ALWAYS_INLINE constexpr f32 apply(f32 x) { return x / (1.0f + Exp::apply(-x)); }
};

/// The tanh form of GELU, x/2 (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3), as x / (1 + e^-2u): no cancellation.
struct GeluTanh {
  static TESS_ALWAYS_INLINE constexpr f32 apply(f32 x) {
    return x / (1.0f + Exp::apply(-1.59576912160573071f * (x + 0.044715f * x * x * x)));
  }
};

// The standard's functions, under names that functors of every device may call: nvcc compiles what is constexpr for GPUs
// too, and the standard's own are not yet constexpr.

template <class T>
constexpr T exp(T x) {
  return std::exp(x);
}
template <class T>
constexpr T log(T x) {
  return std::log(x);
}
template <class T>
constexpr T tanh(T x) {
  return std::tanh(x);
}
template <class T>
constexpr T sqrt(T x) {
  return std::sqrt(x);
}
template <class T>
constexpr T ceil(T x) {
  return std::ceil(x);
}

}  // namespace tess::math
