// RotaryEmbedding: positions as rotations of pairs, with an offset of its own for every row.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/attention.hpp"

namespace tess::nn {

/// x [B, T, H, D] -> Y [B, T, H, D] under x's spec; D unsharded. Token t of row b stands at rows[b].start + t. Its members
/// are those of RotaryOptions: `base`, which values turn in which pairs, YaRN (device/rotary_options.hpp).
/// Source: Su et al., arXiv 2104.09864; as it stands half-split, as in GPT-NeoX and Grok-1.
template <class Y = f32>
struct RotaryEmbedding : RotaryOptions {
  template <class D, class X>
  constexpr auto operator()(D& dev, const X& x, Segments rows) const {
    return rotary<Y>(dev, x, rows, *this);
  }
};

}  // namespace tess::nn
