// 8-bit floating-point weights with one scale a block of 128 x 128, as DeepSeek publishes them, read as f32.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "array.hpp"

namespace tess::io {

inline constexpr index_t scale_block = 128;  // "weight_block_size": [128, 128]

/// Throws unless weight is f8_e4m3 [R, C] and scales f32 [⌈R / 128⌉, ⌈C / 128⌉]. `name` begins the message.
inline void check_block_scales(std::string_view name, const ArrayView& weight, const ArrayView& scales) {
  const auto blocks = [](index_t n) { return (n + scale_block - 1) / scale_block; };
  if (weight.dtype != DType::f8_e4m3 || scales.dtype != DType::f32 || weight.shape.size() != 2 ||
      scales.shape != std::vector<index_t>{blocks(weight.shape[0]), blocks(weight.shape[1])})
    fail(name, ": weight ", describe(weight), " and scales ", describe(scales), " do not belong together:\n  ",
         "expected f8_e4m3[R, C] and f32[R / 128, C / 128], rounded up.");
}

/// weight f8_e4m3 [R, C], scales f32 [⌈R / 128⌉, ⌈C / 128⌉] -> f32 [R, C], weight · scale. `name` begins the message.
/// Errors: other dtypes or shapes; a weight or a scale that is no number.
/// Source: deepseek-ai/DeepSeek-V3, inference/kernel.py (weight_dequant), README_WEIGHTS.md ("weight_scale_inv").
inline ArrayView dequantized(std::string_view name, const ArrayView& weight, const ArrayView& scales) {
  check_block_scales(name, weight, scales);
  const auto blocks = [](index_t n) { return (n + scale_block - 1) / scale_block; };
  const index_t rows = weight.shape[0], columns = weight.shape[1];
  std::vector<f32> values(static_cast<std::size_t>(rows * columns));
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) {
      const auto at = static_cast<std::size_t>(r * columns + c);
      const auto block = static_cast<std::size_t>(r / scale_block * blocks(columns) + c / scale_block);
      const f32 scale = detail::load<f32>(scales.data.data() + block * sizeof(f32));
      values[at] = e4m3_value(static_cast<std::uint8_t>(weight.data[at])) * scale;
      if (!std::isfinite(values[at]))
        fail(name, ": the weight at row ", r, ", column ", c, " is no finite number; the checkpoint is damaged.");
    }
  return array_of(DType::f32, weight.shape, std::move(values));
}

}  // namespace tess::io
