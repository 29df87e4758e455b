// DeepSeek's fp8 weights: every block of 128 x 128 has its own scale, also the cut ones at the edges.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/block_scales.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {
constexpr index_t rows = 130, columns = 300;  // 2 x 3 blocks

ArrayView weight(std::uint8_t code) {
  return array_of(DType::f8_e4m3, {rows, columns}, std::vector<std::uint8_t>(rows * columns, code));
}
ArrayView scales(std::vector<f32> values) { return array_of(DType::f32, {2, 3}, std::move(values)); }
}  // namespace

TEST_CASE("weight times the scale of its block") {
  const ArrayView w = dequantized("w", weight(0xc0), scales({1, 2, 3, 4, 5, 6}));  // 0xc0 is -2
  CHECK(describe(w) == "f32[130, 300]");
  const auto values = values_as<f32>(w);
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c)
      if (values[static_cast<std::size_t>(r * columns + c)] != static_cast<f32>(-2 * (1 + r / 128 * 3 + c / 128)))
        FAIL("row " << r << ", column " << c << ": " << values[static_cast<std::size_t>(r * columns + c)]);
}

TEST_CASE("what does not belong together is refused") {
  const auto error = [](const ArrayView& w, const ArrayView& s) {
    return error_of([&] { dequantized("layer.w", w, s); });
  };
  CHECK(contains(error(weight(0), array_of(DType::f32, {3, 2}, std::vector<f32>(6))),
                 "f32[3, 2] do not belong together"));
  CHECK(contains(error(weight(0), array_of(DType::bf16, {2, 3}, std::vector<bf16>(6))), "do not belong together"));
  CHECK(
      contains(error(array_of(DType::i8, {1, 1}, std::vector<std::int8_t>(1)), scales({1, 1, 1, 1, 1, 1})), "layer.w"));
  CHECK(contains(error(weight(0x7f), scales({1, 1, 1, 1, 1, 1})), "row 0, column 0 is no finite number"));
  const f32 nan = std::numeric_limits<f32>::quiet_NaN();
  CHECK(contains(error(weight(0x38), scales({1, 1, 1, 1, 1, nan})), "row 128, column 256 is no finite number"));
}
