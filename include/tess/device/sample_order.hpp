// What a device is asked to draw from logits, and how: settings, outputs, and the numbers that samplers agree on.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cfloat>

#include "../core/error.hpp"
#include "threefry.hpp"

namespace tess::generate {

// The reference is xai-org/grok-1, model.py and runners.py.
inline constexpr int top_k_report = 8;               // its TOP_K
inline constexpr std::size_t reference_devices = 8;  // the only number on which it runs Grok-1

/// Where the reference rounds to bfloat16. The formulas are the same.
enum class SampleArithmetic {
  as_written,   // the result of every operation: `sample_token` as its Python says, called operation by operation
  as_compiled,  // logits / temperature, noise and probabilities only; settings, softmax and logit + noise are f32: what
                // XLA makes of it in the reference's runner (JAX 0.4.25, CPU)
};

/// Defaults of the reference's `sample_from_model`, except the temperature, which it always asks for.
struct SampleSettings {
  float temperature = 1;  // >= 0; 0 takes the largest logit, ties to the lower id (the reference would divide by it)
  float nucleus_p = 1;    // 0 … 1
  SampleArithmetic arithmetic = SampleArithmetic::as_compiled;
};

struct SampleOutput {
  i32 token_id = 0;
  bf16 prob;                                      // of token_id, after temperature and filter
  std::array<i32, top_k_report> top_k_token_ids;  // most probable first, ties to the lower id
  std::array<bf16, top_k_report> top_k_probs;     // with fewer than 8 tokens: id -1, probability 0
};

/// One token that a device is asked to draw (`dev.sample`): from which row of the logits, and how.
struct SampleOrder {
  index_t row = 0;
  SampleSettings settings;
  Key key;
};

namespace detail {

inline void check_settings(const SampleSettings& settings) {
  if (!(settings.temperature >= 0 && settings.temperature <= FLT_MAX))
    fail("sampler: temperature ", settings.temperature, " is not a finite number >= 0");
  if (!(settings.nucleus_p >= 0 && settings.nucleus_p <= 1))
    fail("sampler: nucleus_p ", settings.nucleus_p, " is not between 0 and 1");
}
[[noreturn]] inline void fail_not_finite(index_t token) {
  fail("sampler: the logit of token ", token, " is not finite: a damaged checkpoint, or a wrong configuration for it");
}
[[noreturn]] inline void fail_too_cold(const SampleSettings& settings) {
  fail("sampler: temperature ", settings.temperature, " is too small: logits / temperature overflows; use 0");
}

// bfloat16 numbers in ascending order of their ordinals; -0 and 0 differ, but not as logits.
constexpr std::uint16_t ordinal(bf16 x) {
  const auto negative = static_cast<std::uint16_t>(-(x.bits >> 15));  // all bits, or none
  return static_cast<std::uint16_t>(x.bits ^ (negative | 0x8000));
}
constexpr bf16 from_ordinal(std::size_t o) {
  return bf16::from_bits(static_cast<std::uint16_t>(o < 0x8000 ? 0xffff - o : o - 0x8000));
}

/// A probability. Numbers below the normal ones are 0, as on XLA's CPU threads.
constexpr float probability(float e, float sum) {
  const float p = e / sum;
  return p < FLT_MIN ? 0.0f : float{bf16(p)};
}

/// What is bfloat16 as written and f32 as compiled.
constexpr float rounded(SampleArithmetic arithmetic, float x) {
  return arithmetic == SampleArithmetic::as_written ? float{bf16(x)} : x;
}

}  // namespace detail
}  // namespace tess::generate
