// The row kernels between the matmuls: sums of squares, scaling, rotary embedding.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <vector>

#include "../../core/types.hpp"
#include "../../tensor/dtype.hpp"

namespace tess::host {

/// Sum of x[i]^2, i < n: runs of 16 in f32, these in f64. The shards of a row add theirs before `scale_row`.
template <class X>
f64 sum_of_squares(const X* x, index_t n) {
  f64 total = 0;
  index_t i = 0;
  for (; i + 256 <= n; i += 256) {
    f32 lane[16] = {};
    for (index_t j = 0; j < 256; j += 16)
      for (index_t l = 0; l < 16; ++l) {
        const f32 value = static_cast<f32>(x[i + j + l]);
        lane[l] += value * value;
      }
    for (const f32 part : lane) total += part;
  }
  for (; i < n; ++i) total += static_cast<f64>(static_cast<f32>(x[i])) * static_cast<f32>(x[i]);
  return total;
}

/// y[i] = scale[i] * x[i] * factor, i < n, in f32. y may be x.
template <class X, class S, class Y>
void scale_row(const X* x, const S* scale, f32 factor, Y* y, index_t n) {
  for (index_t i = 0; i < n; ++i) y[i] = static_cast<Y>(static_cast<f32>(scale[i]) * (static_cast<f32>(x[i]) * factor));
}

/// Rotary embedding, half-split (GPT-NeoX): of each head of D values the i-th and the (i + D/2)-th turn together by
/// position / base^(2i/D). Frequencies and angles are f32 as in the reference; sine and cosine are exact to f32.
class Rotary {
 public:
  explicit Rotary(index_t head_dim, f64 base = 10000.0) {
    for (index_t i = 0; i < head_dim / 2; ++i)
      frequency_.push_back(1.0f /
                           static_cast<f32>(std::pow(base, 2.0 * static_cast<f64>(i) / static_cast<f64>(head_dim))));
  }

  index_t head_dim() const { return 2 * static_cast<index_t>(frequency_.size()); }

  /// x [rows, heads, D], row r at positions[r]; y of the same shape, may be x.
  template <class X, class Y, class P>
  void apply(const X* x, Y* y, const P* positions, index_t rows, index_t heads) const {
    const auto half = static_cast<index_t>(frequency_.size());
    std::vector<f32> cosine(frequency_.size()), sine(frequency_.size());
    for (index_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < frequency_.size(); ++i) {
        const f64 angle = static_cast<f32>(positions[r]) * frequency_[i];
        cosine[i] = static_cast<f32>(std::cos(angle));
        sine[i] = static_cast<f32>(std::sin(angle));
      }
      for (index_t h = 0; h < heads; ++h) {
        const index_t at = (r * heads + h) * 2 * half;
        for (index_t i = 0; i < half; ++i) {
          const f32 a = static_cast<f32>(x[at + i]), b = static_cast<f32>(x[at + half + i]);
          const f32 c = cosine[static_cast<std::size_t>(i)], s = sine[static_cast<std::size_t>(i)];
          y[at + i] = static_cast<Y>(a * c - b * s);
          y[at + half + i] = static_cast<Y>(b * c + a * s);
        }
      }
    }
  }

 private:
  std::vector<f32> frequency_;  // [D / 2]
};

}  // namespace tess::host
