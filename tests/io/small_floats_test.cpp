// The formats that only files have: every code of the 8-bit one, the edges of the 16-bit one.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/small_floats.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace tess;
using namespace tess::io;

TEST_CASE("f16: subnormals, infinities and NaN") {
  CHECK(f16_value(0x0001) == 0x1p-24f);
  CHECK(f16_value(0x8001) == -0x1p-24f);
  CHECK(f16_value(0x03ff) == 1023 * 0x1p-24f);
  CHECK(f16_value(0x7bff) == 65504.0f);
  CHECK(f16_value(0x7c00) == std::numeric_limits<f32>::infinity());
  CHECK(std::isnan(f16_value(0x7c01)));
}

TEST_CASE("e4m3: all 256 codes are (-1)^s 2^(e-7) (1 + m/8), with subnormals and two NaNs") {
  for (int code = 0; code < 256; ++code) {
    CAPTURE(code);
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const double magnitude = exponent ? std::ldexp(8 + fraction, exponent - 10) : std::ldexp(fraction, -9);
    const f32 value = e4m3_value(static_cast<std::uint8_t>(code));
    if (exponent == 15 && fraction == 7) {
      CHECK(std::isnan(value));
      continue;
    }
    CHECK(value == (code & 0x80 ? -magnitude : magnitude));
    CHECK(std::signbit(value) == (code >= 0x80));
  }
  CHECK(e4m3_value(0x7e) == 448.0f);
}
