// One parameter of a checkpoint: plain numbers, or int8 numbers with the bf16 scales of their groups.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <optional>
#include <string_view>

#include "../core/error.hpp"
#include "array.hpp"

namespace tess::io {

/// A parameter as views into its file. Quantised: weight int8 [..., K, N], scales bf16 [..., G, N], G a divisor of K,
/// and w[..., k, n] = weight[..., k, n] * scales[..., k / (K / G), n]. Source: QuantizedWeight8bit (xai-org/grok-1
/// model.py).
struct Leaf {
  ArrayView weight;
  std::optional<ArrayView> scales;

  /// G: rows of scales along the contracting dimension; 0 for a parameter that is not quantised.
  [[nodiscard]] index_t groups() const { return scales ? scales->shape[scales->shape.size() - 2] : 0; }
};

/// Throws unless the scales fit the weight as `Leaf` says. `name` begins the message.
inline void check_quantized(std::string_view name, const ArrayView& weight, const ArrayView& scales) {
  auto refuse = [&](const auto&... why) {
    fail(name, ": weight ", describe(weight), " and scales ", describe(scales), " do not belong together:\n  ", why...);
  };
  const auto &w = weight.shape, &s = scales.shape;
  if (weight.dtype != DType::i8) refuse("a quantised weight is i8.");
  if (scales.dtype != DType::bf16) refuse("scales are bf16.");
  if (w.size() < 2) refuse("a quantised weight has at least the two dimensions K and N.");
  if (w.size() != s.size()) refuse("scales have as many dimensions as their weight: [..., G, N] for [..., K, N].");
  const std::size_t k = w.size() - 2;
  if (!std::equal(w.begin(), w.end() - 2, s.begin())) refuse("their leading dimensions (experts) must be equal.");
  if (w[k + 1] != s[k + 1]) refuse("their last dimension must be equal: one scale a column.");
  if (s[k] < 1 || w[k] % s[k] != 0)
    refuse("the number of scale groups G = ", s[k], " must divide the number of rows K = ", w[k], ".");
}

}  // namespace tess::io
