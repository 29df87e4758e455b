// RotaryEmbedding: positions as rotations of pairs (i, i + D/2), with an offset of its own for every row.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/attention.hpp"

namespace tess::nn {

/// x [B, T, H, D] -> Y [B, T, H, D] under x's spec; D even and unsharded. Token t of row b stands at rows[b].start + t.
/// Source: Su et al., arXiv 2104.09864, half-split as in GPT-NeoX and Grok-1.
template <class Y = f32>
struct RotaryEmbedding {
  f32 base = 10000;

  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x, Segments rows) const {
    return rotary<Y>(dev, x, rows, base);
  }
};

}  // namespace tess::nn
