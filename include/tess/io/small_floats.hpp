// Floating-point formats that only files have: IEEE binary16 and the 8-bit E4M3.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>

#include "../tensor/dtype.hpp"

namespace tess::io {

/// IEEE binary16, exactly.
constexpr f32 f16_value(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<f32>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) return std::bit_cast<f32>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const f32 tiny = static_cast<f32>(fraction) * 0x1p-24f;
  return sign ? -tiny : tiny;
}

/// E4M3 as deep learning uses it ("e4m3fn"), exactly: bias 7, largest 448, no infinity, NaN 0x7f and 0xff.
/// Source: Micikevicius et al. 2022, arXiv 2209.05433, table 1.
constexpr f32 e4m3_value(std::uint8_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80u) << 24;
  const std::uint32_t exponent = (bits >> 3) & 0xfu, fraction = bits & 7u;
  if ((bits & 0x7fu) == 0x7fu) return std::bit_cast<f32>(sign | 0x7fc00000u);
  if (exponent != 0) return std::bit_cast<f32>(sign | ((exponent + 120) << 23) | (fraction << 20));
  const f32 tiny = static_cast<f32>(fraction) * 0x1p-9f;
  return sign ? -tiny : tiny;
}

}  // namespace tess::io
