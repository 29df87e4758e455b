// Routing policies: from one token's logits to its experts and their weights.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "../core/error.hpp"
#include "../device/token_group.hpp"
#include "../device/top_k_routing.hpp"
#include "../tensor/math.hpp"

// A policy is called on one token: `choose(logits, experts, weights)` with spans of E, k and k, or with a correction
// f32 [E] behind the logits. It writes experts best first; equal ones go to the lower index. None of these drops a
// token; nn/router_capacity.hpp has those that do.
namespace tess::nn {

namespace detail {
/// Keeps the best of the experts that are offered in ascending order. `experts` start as no_expert.
constexpr void offer(std::span<i32> experts, std::span<f32> scores, i32 expert, f32 score) {
  std::size_t place = experts.size();
  for (; place > 0 && (experts[place - 1] == no_expert || score > scores[place - 1]); --place)
    if (place < experts.size()) {
      experts[place] = experts[place - 1];
      scores[place] = scores[place - 1];
    }
  if (place == experts.size()) return;
  experts[place] = expert;
  scores[place] = score;
}
constexpr void clear(std::span<i32> experts, std::span<f32> weights) {
  for (i32& e : experts) e = no_expert;
  for (f32& w : weights) w = 0;
}
constexpr f32 total(std::span<const f32> v) {
  f32 sum = 0;
  for (const f32 x : v) sum += x;
  return sum;
}
constexpr f32 sigmoid(f32 x) { return 1.0f / (1.0f + math::Exp::apply(-x)); }
}  // namespace detail

/// Softmax over all experts, then the k largest. `normalize` divides the weights by their sum (Mixtral, GShard); Grok-1
/// does not, and for Qwen's models config.json says.
/// Source: Shazeer et al., arXiv 1701.06538; Lepikhin et al., arXiv 2006.16668.
template <bool Normalize = false>
struct SoftmaxTopK {
  bool normalize = Normalize;

  constexpr TopKRouting as_top_k() const { return {true, normalize}; }
  constexpr void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    const f32 largest = *std::max_element(logits.begin(), logits.end());
    f32 sum = 0;
    for (const f32 v : logits) sum += math::exp(v - largest);
    detail::clear(experts, weights);
    for (std::size_t e = 0; e < logits.size(); ++e)
      detail::offer(experts, weights, static_cast<i32>(e), math::exp(logits[e] - largest) / sum);
    if (normalize) {
      const f32 chosen = detail::total(weights);
      for (f32& w : weights) w /= chosen;
    }
  }
};

/// The k largest logits, then softmax over these: SoftmaxTopK<true> in another order of rounding.
/// Source: GPT-OSS, arXiv 2508.10925; Jiang et al., arXiv 2401.04088.
struct TopKSoftmax {
  static constexpr TopKRouting as_top_k() { return {false, true}; }
  constexpr void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    detail::clear(experts, weights);
    for (std::size_t e = 0; e < logits.size(); ++e) detail::offer(experts, weights, static_cast<i32>(e), logits[e]);
    const f32 largest = weights[0];
    for (f32& w : weights) w = math::exp(w - largest);
    const f32 chosen = detail::total(weights);
    for (f32& w : weights) w /= chosen;
  }
};

/// s = sigmoid(logits), c = s + correction. Of `groups` equal groups of consecutive experts those `kept_groups` stay
/// whose two best c have the largest sum; of their experts the k with the largest c are chosen. Weights are s, without
/// the correction: divided by their sum + 1e-20 if `normalize`, then times `scale`. Without a correction c is s; with
/// one group of all experts, plain top-k of sigmoids (not normalised, Llama 4's). Up to 64 groups.
/// Source: DeepSeek-V3, arXiv 2412.19437, eq. 12-16, and its model.py, class Gate.
struct GroupedSigmoidTopK {
  index_t groups = 1, kept_groups = 1;
  f32 scale = 1;
  bool normalize = true;

  static constexpr index_t most_groups = 64;

  /// Throws Error unless the groups are equal, and one stays.
  void check(index_t experts) const {
    if (groups < 1 || groups > most_groups || kept_groups < 1 || experts % groups != 0)
      fail("[router] ", experts, " experts in ", groups, " groups of which ", kept_groups,
           " stay: expected up to 64 equal groups, and at least one that stays");
  }
  constexpr void operator()(std::span<const f32> logits, std::span<const f32> correction, std::span<i32> experts,
                            std::span<f32> weights) const {
    choose(
        logits, [&](std::size_t e) { return detail::sigmoid(logits[e]) + correction[e]; }, experts, weights);
  }
  constexpr void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    choose(
        logits, [&](std::size_t e) { return detail::sigmoid(logits[e]); }, experts, weights);
  }

 private:
  /// `score(e)` is c.
  template <class Score>
  constexpr void choose(std::span<const f32> logits, Score score, std::span<i32> experts,
                        std::span<f32> weights) const {
    detail::clear(experts, weights);
    const auto count = static_cast<std::size_t>(groups), size = logits.size() / count;
    std::uint64_t kept = ~std::uint64_t{0};  // a bit for each group
    if (kept_groups < groups) kept = best_groups(score, size);
    for (std::size_t g = 0; g < count; ++g)
      if (kept >> g & 1)
        for (std::size_t e = g * size; e < (g + 1) * size; ++e)
          detail::offer(experts, weights, static_cast<i32>(e), score(e));
    for (std::size_t j = 0; j < experts.size(); ++j)
      weights[j] = experts[j] == no_expert ? 0 : detail::sigmoid(logits[static_cast<std::size_t>(experts[j])]);
    const f32 factor = normalize ? scale / (detail::total(weights) + 1e-20f) : scale;
    for (f32& w : weights) w *= factor;
  }

  template <class Score>
  constexpr std::uint64_t best_groups(Score score, std::size_t size) const {
    i32 best[most_groups];
    for (i32& g : best) g = no_expert;
    f32 sums[most_groups] = {};
    const auto wanted = static_cast<std::size_t>(kept_groups);
    for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) {
      i32 two[] = {no_expert, no_expert};
      f32 of_two[] = {0, 0};
      for (std::size_t e = 0; e < size; ++e) detail::offer(two, of_two, static_cast<i32>(e), score(g * size + e));
      detail::offer({best, wanted}, {sums, wanted}, static_cast<i32>(g), of_two[0] + of_two[1]);
    }
    std::uint64_t kept = 0;
    for (std::size_t i = 0; i < wanted; ++i) kept |= std::uint64_t{1} << best[i];
    return kept;
  }
};

}  // namespace tess::nn
