// The row kernels between the matmuls: sums of squares, scaling, rotary embedding.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <vector>

#include "../../tensor/dtype.hpp"
#include "../rotary_options.hpp"

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

/// Rotary embedding of heads of D values: pairs of those that the options name turn, the others stay. Angles are f64,
/// or frequencies and angles are f32 (`rounded`); sine and cosine are exact to f32.
class Rotary {
 public:
  explicit Rotary(index_t head_dim, const RotaryOptions& options = {})
      : head_dim_(head_dim),
        first_(options.first),
        width_(options.width > 0 ? options.width : head_dim - options.first),
        halves_(options.pairs == RotaryPairs::halves),
        rounded_(options.rounded),
        magnitude_(rotary_magnitude(options)),
        frequency_(rotary_frequencies(options, width_)) {}

  index_t head_dim() const { return head_dim_; }

  /// x [rows, heads, D], row r at positions[r]; y of the same shape, may be x.
  template <class X, class Y, class P>
  void apply(const X* x, Y* y, const P* positions, index_t rows, index_t heads) const {
    std::vector<f32> cosine(frequency_.size()), sine(frequency_.size());
    for (index_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < frequency_.size(); ++i) {
        const f64 angle = angle_of(frequency_[i], static_cast<index_t>(positions[r]));
        cosine[i] = static_cast<f32>(std::cos(angle) * magnitude_);
        sine[i] = static_cast<f32>(std::sin(angle) * magnitude_);
      }
      for (index_t h = 0; h < heads; ++h) {
        const X* const from = x + (r * heads + h) * head_dim_;
        Y* const to = y + (r * heads + h) * head_dim_;
        for (index_t d = 0; d < first_; ++d) to[d] = static_cast<Y>(from[d]);
        for (index_t d = first_ + width_; d < head_dim_; ++d) to[d] = static_cast<Y>(from[d]);
        if (halves_) turn<1>(from + first_, to + first_, width_ / 2, cosine.data(), sine.data());
        else turn<2>(from + first_, to + first_, 1, cosine.data(), sine.data());
      }
    }
  }

 private:
  index_t head_dim_, first_, width_;
  bool halves_, rounded_;
  f64 magnitude_;
  std::vector<f64> frequency_;  // [width / 2]

  f64 angle_of(f64 frequency, index_t position) const {
    if (!rounded_) return static_cast<f64>(position) * frequency;
    return static_cast<f64>(static_cast<f32>(position) * static_cast<f32>(frequency));
  }
  /// Pairs `Step` from one another, each of two values `apart`.
  template <index_t Step, class X, class Y>
  void turn(const X* from, Y* to, index_t apart, const f32* cosine, const f32* sine) const {
    for (index_t i = 0; i < width_ / 2; ++i) {
      const f32 a = static_cast<f32>(from[i * Step]), b = static_cast<f32>(from[i * Step + apart]);
      to[i * Step] = static_cast<Y>(a * cosine[i] - b * sine[i]);
      to[i * Step + apart] = static_cast<Y>(b * cosine[i] + a * sine[i]);
    }
  }
};

}  // namespace tess::host
