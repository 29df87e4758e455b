// Sampler: temperature, nucleus filter, Gumbel draw and top-8 report, rounded where Grok-1's reference rounds.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "../device/sample_order.hpp"

namespace tess::generate {

namespace detail {

/// f32 sum in XLA's order on a CPU: windows of 32, each summed by halving, then the windows' sums likewise.
/// The order matters only where the sum lies next to a rounding boundary of bfloat16.
inline float tree_sum(std::vector<float>& x) {
  constexpr std::size_t window = 32;
  for (std::size_t n = x.size(); n > 1;) {
    const std::size_t windows = (n + window - 1) / window, before = (windows * window - n) / 2;  // zeros at both ends
    for (std::size_t w = 0; w < windows; ++w) {
      const std::size_t from = std::max(w * window, before), to = std::min((w + 1) * window, before + n);  // padded row
      float lane[window] = {};
      std::copy(x.data() + (from - before), x.data() + (to - before), lane + (from - w * window));
      for (std::size_t half = window / 2; half > 0; half /= 2)
        for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
      x[w] = lane[0];
    }
    n = windows;
  }
  return x.empty() ? 0.0f : x[0];
}

/// exp of a bfloat16 number <= 0, rounded to bfloat16.
class NegativeExp {
 public:
  float operator()(bf16 x) const { return table_[x.bits & 0x7fff]; }  // without the sign

 private:
  static const float* table() {
    static const auto values = [] {
      std::vector<float> v(0x8000);
      for (std::size_t i = 0; i < v.size(); ++i) {
        const double x = bf16::from_bits(static_cast<std::uint16_t>(i));
        v[i] = bf16(static_cast<float>(std::exp(-x)));
      }
      return v;
    }();
    return values.data();
  }
  const float* table_ = table();
};

/// Inclusive prefix sums of bfloat16 values (held in f32) in place, each addition rounded: `jnp.cumsum`'s tree. Element
/// 2i+1 is the i-th prefix sum of the pairs' sums, element 2i that of 2i-1 plus x[2i]. `scratch` holds the smaller
/// levels.
inline void tree_cumsum(float* x, std::size_t n, float* scratch) {
  const auto add = [](float a, float b) { return float{bf16(a + b)}; };
  if (n < 2) return;
  if (n == 3) {  // XLA fuses the last two additions and rounds once
    const float all = bf16(x[0] + x[1] + x[2]);
    x[1] = add(x[0], x[1]);
    x[2] = all;
    return;
  }
  const std::size_t pairs = n / 2;
  for (std::size_t i = 0; i < pairs; ++i) scratch[i] = add(x[2 * i], x[2 * i + 1]);
  tree_cumsum(scratch, pairs, scratch + pairs);
  for (std::size_t i = 0; i < pairs; ++i) x[2 * i + 1] = scratch[i];
  for (std::size_t i = 1; 2 * i < n; ++i) x[2 * i] = add(scratch[i - 1], x[2 * i]);
}

}  // namespace detail

/// Draws tokens from logits [V]. Keeps its buffers between tokens: one object a thread.
///
/// `as_written` equals the reference bit for bit: filter, tokens, probabilities and top-8. `as_compiled` draws the tokens
/// of its runner with the whole nucleus; with a smaller one, its cumulative sum over eight devices may end elsewhere (3 of
/// 1696 tokens differed). A probability may be an ulp of bfloat16 off, for XLA has an exp of its own.
class Sampler {
 public:
  /// Throws if a logit is not finite, the settings are out of range, or logits / temperature is not finite.
  SampleOutput operator()(std::span<const float> logits, const SampleSettings& settings, Key key) {
    filter(logits, settings);
    softmax();
    SampleOutput out = report();
    const std::size_t token = settings.temperature == 0 ? argmax(logits) : draw(key);
    out.token_id = static_cast<i32>(token);
    out.prob = probs_[token];
    return out;
  }

  /// The logits [V] after temperature and nucleus filter (-1e10 where a token is excluded). Valid until the next call.
  std::span<const bf16> filter(std::span<const float> logits, const SampleSettings& settings) {
    if (logits.empty()) fail("sampler: no logits");
    detail::check_settings(settings);
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (!std::isfinite(logits[i])) detail::fail_not_finite(static_cast<index_t>(i));
    arithmetic_ = settings.arithmetic;
    const float temperature = settings.temperature > 0 ? rounded(settings.temperature) : 1.0f;
    logits_.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) logits_[i] = bf16(rounded(logits[i]) / temperature);
    if (settings.temperature > 0) {
      for (const auto& x : logits_)
        if (!std::isfinite(float{x})) detail::fail_too_cold(settings);
      top_p_filter(settings.nucleus_p);
    }
    return logits_;
  }

  /// The probabilities [V] of the last call.
  std::span<const bf16> probs() const { return probs_; }

 private:
  /// Keeps the logits >= the first one, in ascending order, at which the cumulative probability reaches 1 - p. Where
  /// the rounded sum never gets there, all are kept: so does the reference (its argmax over "false" is 0).
  void top_p_filter(float nucleus_p) {
    const float excluded = rounded(1.0f - rounded(nucleus_p));
    if (excluded <= 0) return;

    // Ascending sort by counting: there are only 65536 bfloat16 numbers.
    counts_.assign(0x10000, 0);
    for (const auto x : logits_) ++counts_[detail::ordinal(x)];
    const auto fill = [this](const auto& value) {
      sorted_.clear();
      for (std::size_t o = 0; o < counts_.size(); ++o)
        if (counts_[o] > 0) sorted_.insert(sorted_.end(), counts_[o], value(detail::from_ordinal(o)));
    };
    const float top = max_logit();
    fill([&](float x) { return exp(x - top); });
    const float sum = rounded(detail::tree_sum(sorted_));
    fill([&](float x) { return detail::probability(exp(x - top), sum); });
    scratch_.resize(sorted_.size());
    detail::tree_cumsum(sorted_.data(), sorted_.size(), scratch_.data());
    const auto reached = std::find_if(sorted_.begin(), sorted_.end(), [=](float p) { return p >= excluded; });
    if (reached == sorted_.end()) return;

    auto rank = static_cast<std::uint32_t>(reached - sorted_.begin());
    std::size_t o = 0;
    for (; rank >= counts_[o]; ++o) rank -= counts_[o];
    const float threshold = detail::from_ordinal(o);
    for (auto& x : logits_)
      if (x < threshold) x = bf16(-1e10f);
  }

  void softmax() {
    const float top = max_logit();
    exps_.resize(logits_.size());
    for (std::size_t i = 0; i < logits_.size(); ++i) exps_[i] = exp(logits_[i] - top);
    scratch_ = exps_;
    const float sum = rounded(detail::tree_sum(scratch_));
    probs_.resize(logits_.size());
    for (std::size_t i = 0; i < logits_.size(); ++i) probs_[i] = bf16(detail::probability(exps_[i], sum));
  }

  SampleOutput report() const {
    SampleOutput out;
    out.top_k_token_ids.fill(-1);
    out.top_k_probs.fill(bf16(0.0f));
    int filled = 0;
    float least = -1;  // the smallest probability in a full report
    for (std::size_t i = 0; i < probs_.size(); ++i) {
      const float p = probs_[i];
      if (p <= least) continue;  // equal: the lower id stays
      filled = std::min(filled + 1, top_k_report);
      auto at = static_cast<std::size_t>(filled - 1);
      for (; at > 0 && out.top_k_probs[at - 1] < p; --at) {
        out.top_k_probs[at] = out.top_k_probs[at - 1];
        out.top_k_token_ids[at] = out.top_k_token_ids[at - 1];
      }
      out.top_k_probs[at] = probs_[i];
      out.top_k_token_ids[at] = static_cast<i32>(i);
      if (filled == top_k_report) least = out.top_k_probs.back();
    }
    return out;
  }

  float max_logit() const {  // by ordinal: integers vectorise
    std::uint16_t most = 0;
    for (const auto x : logits_) most = std::max(most, detail::ordinal(x));
    return detail::from_ordinal(most);
  }
  static std::size_t argmax(std::span<const float> logits) {
    return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }

  /// argmax of logits + Gumbel noise; ties (common: the noise has 128 values) to the lower id. XLA keeps the largest sum
  /// so far in bfloat16, even where the sums are f32: as compiled the order matters, so the vocabulary is looked through
  /// in the parts of the reference's devices.
  std::size_t draw(Key key) {
    random_bytes(key, static_cast<index_t>(logits_.size()), bytes_);
    const auto& noise = gumbel_bf16();
    const std::size_t part = (logits_.size() + reference_devices - 1) / reference_devices;
    std::size_t best = 0;
    float most = -INFINITY;
    for (std::size_t from = 0; from < logits_.size(); from += part) {
      std::size_t best_here = from;
      float most_here = -INFINITY;
      for (std::size_t i = from; i < std::min(from + part, logits_.size()); ++i) {
        const float x = rounded(noise[bytes_[i] >> 1] + logits_[i]);
        if (x > most_here) most_here = bf16(x), best_here = i;
      }
      if (most_here > most) most = most_here, best = best_here;
    }
    return best;
  }

  float rounded(float x) const { return detail::rounded(arithmetic_, x); }

  /// exp of a number <= 0; 0 where it is below the normal numbers.
  float exp(float x) const {
    if (arithmetic_ == SampleArithmetic::as_written) return rounded_exp_(bf16(x));
    return x < -87.3f ? 0.0f : std::exp(x);
  }

  SampleArithmetic arithmetic_ = SampleArithmetic::as_compiled;
  detail::NegativeExp rounded_exp_;
  std::vector<bf16> logits_, probs_;
  std::vector<float> sorted_, exps_, scratch_;
  std::vector<std::uint32_t> counts_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace tess::generate
