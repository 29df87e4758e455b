// RotaryOptions: which values of a head turn in pairs, and how fast; what the verb `rotary` of a device is told.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "../tensor/dtype.hpp"

namespace tess {

/// Of the D values that turn, i and i + D/2 turn together (GPT-NeoX), or 2i and 2i + 1 (the paper, GPT-J).
enum class RotaryPairs { halves, neighbours };

/// How positions beyond those of training are reached: a frequency θ becomes θ (1 - r) + r θ / factor. r is 1 for all
/// (linear: Chen et al., arXiv 2306.15595), or grows from 0 for the fast pairs to 1 for the slow ones: over the number
/// of the pair (YaRN: Peng et al., arXiv 2309.00071), or over its turns (Llama 3: arXiv 2407.21783).
enum class RotaryScaling { none, linear, yarn, llama3 };

/// A pair of position t turns by t · base^(-2i / D), exact to f64, and is stretched by `magnitude`.
struct RotaryOptions {
  f64 base = 10000;
  RotaryPairs pairs = RotaryPairs::halves;
  index_t first = 0, width = 0;  // the values of a head that turn: `width` of them from `first` on; 0: all to the end
  RotaryScaling scaling = RotaryScaling::none;
  f64 factor = 1;                             // by which the positions grow
  f64 original_positions = 0;                 // those of training
  f64 beta_fast = 32, beta_slow = 1;          // YaRN: r is 0 at so many turns over the original positions, 1 at so few
  bool truncate = true;                       // YaRN: these two pairs as whole numbers, the faster one rounded down
  f64 low_frequency = 1, high_frequency = 4;  // Llama 3: r is 1 at so few turns, 0 at so many
  f64 magnitude = 0;                          // of sine and cosine; 0: YaRN's own for the factor, else 1
  bool rounded = false;  // frequencies and angles in f32, as Grok-1 (and most of the field) has them
};

/// Whether frequencies come of these numbers.
constexpr bool has_frequencies(const RotaryOptions& o) {
  if (!(o.base > 0 && o.factor > 0 && o.magnitude >= 0)) return false;
  if (o.scaling == RotaryScaling::yarn)
    return o.base != 1 && o.original_positions > 0 && o.beta_fast > 0 && o.beta_slow > 0;
  return o.scaling != RotaryScaling::llama3 || (o.original_positions > 0 && o.high_frequency != o.low_frequency);
}

/// By how much YaRN stretches what it turns: 0.1 m ln(factor) + 1. DeepSeek's checkpoints give two m: `mscale` for this
/// over `mscale_all_dim`, and scores times the square of the latter's.
/// Source: Peng et al., arXiv 2309.00071, section 3.4; DeepSeek-V3's modeling_deepseek.py, yarn_get_mscale.
inline f64 yarn_magnitude(f64 factor, f64 m = 1) { return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1; }

/// The magnitude that the options mean.
inline f64 rotary_magnitude(const RotaryOptions& o) {
  if (o.magnitude != 0) return o.magnitude;
  return o.scaling == RotaryScaling::yarn ? yarn_magnitude(o.factor) : 1;
}

/// θ of each of the D / 2 pairs of `width` = D values.
inline std::vector<f64> rotary_frequencies(const RotaryOptions& o, index_t width) {
  constexpr f64 turn = 2 * std::numbers::pi;
  const auto D = static_cast<f64>(width);
  // YaRN: the pair, perhaps between two, that turns n times over the original positions
  const auto pair = [&](f64 n) { return D * std::log(o.original_positions / (turn * n)) / (2 * std::log(o.base)); };
  f64 fast = 0, slow = 0;
  if (o.scaling == RotaryScaling::yarn) {
    fast = o.truncate ? std::floor(pair(o.beta_fast)) : pair(o.beta_fast);
    slow = o.truncate ? std::ceil(pair(o.beta_slow)) : pair(o.beta_slow);
    fast = std::max(fast, 0.0);
    slow = std::min(slow, D - 1);
    if (slow == fast) slow += 0.001;
  }
  std::vector<f64> frequencies;
  for (index_t i = 0; i < width / 2; ++i) {
    const f64 period = std::pow(o.base, 2 * static_cast<f64>(i) / D);
    const f64 theta = o.rounded ? static_cast<f64>(1.0f / static_cast<f32>(period)) : 1 / period;
    f64 r = 0;  // the share of θ that is divided
    if (o.scaling == RotaryScaling::linear) r = 1;
    if (o.scaling == RotaryScaling::yarn) r = (static_cast<f64>(i) - fast) / (slow - fast);
    if (o.scaling == RotaryScaling::llama3)
      r = (o.high_frequency - o.original_positions * theta / turn) / (o.high_frequency - o.low_frequency);
    r = std::clamp(r, 0.0, 1.0);
    frequencies.push_back(theta * (1 - r) + theta * r / o.factor);
  }
  return frequencies;
}

}  // namespace tess
