// Routing policies: from one token's logits to its experts and their weights.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "../core/error.hpp"
#include "../device/token_group.hpp"
#include "../tensor/math.hpp"

// A policy is called on one token: `choose(logits, experts, weights)` with spans of E, k and k, or with a correction
// f32 [E] behind the logits. It writes experts best first; equal ones go to the lower index. None of these drops a
// token; nn/router_capacity.hpp has those that do.
namespace tess::nn {

namespace detail {
/// Keeps the best of the experts that are offered in ascending order. `experts` start as no_expert.
inline void offer(std::span<i32> experts, std::span<f32> scores, i32 expert, f32 score) {
  std::size_t place = experts.size();
  while (place > 0 && (experts[place - 1] == no_expert || score > scores[place - 1])) --place;
  if (place == experts.size()) return;
  std::copy_backward(experts.begin() + static_cast<std::ptrdiff_t>(place), experts.end() - 1, experts.end());
  std::copy_backward(scores.begin() + static_cast<std::ptrdiff_t>(place), scores.end() - 1, scores.end());
  experts[place] = expert;
  scores[place] = score;
}
inline void clear(std::span<i32> experts, std::span<f32> weights) {
  std::fill(experts.begin(), experts.end(), no_expert);
  std::fill(weights.begin(), weights.end(), 0.0f);
}
inline f32 total(std::span<const f32> v) {
  f32 sum = 0;
  for (const f32 x : v) sum += x;
  return sum;
}
inline f32 sigmoid(f32 x) { return 1.0f / (1.0f + math::Exp::apply(-x)); }
}  // namespace detail

/// Softmax over all experts, then the k largest. `normalize` divides the weights by their sum (Mixtral, GShard); Grok-1
/// does not, and for Qwen's models config.json says.
/// Source: Shazeer et al., arXiv 1701.06538; Lepikhin et al., arXiv 2006.16668.
template <bool Normalize = false>
struct SoftmaxTopK {
  bool normalize = Normalize;

  void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    const f32 largest = *std::max_element(logits.begin(), logits.end());
    f32 sum = 0;
    for (const f32 v : logits) sum += std::exp(v - largest);
    detail::clear(experts, weights);
    for (std::size_t e = 0; e < logits.size(); ++e)
      detail::offer(experts, weights, static_cast<i32>(e), std::exp(logits[e] - largest) / sum);
    if (normalize) {
      const f32 chosen = detail::total(weights);
      for (f32& w : weights) w /= chosen;
    }
  }
};

/// The k largest logits, then softmax over these: SoftmaxTopK<true> in another order of rounding.
/// Source: GPT-OSS, arXiv 2508.10925; Jiang et al., arXiv 2401.04088.
struct TopKSoftmax {
  void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    detail::clear(experts, weights);
    for (std::size_t e = 0; e < logits.size(); ++e) detail::offer(experts, weights, static_cast<i32>(e), logits[e]);
    const f32 largest = weights[0];
    for (f32& w : weights) w = std::exp(w - largest);
    const f32 chosen = detail::total(weights);
    for (f32& w : weights) w /= chosen;
  }
};

/// s = sigmoid(logits), c = s + correction. Of `groups` equal groups of consecutive experts those `kept_groups` stay
/// whose two best c have the largest sum; of their experts the k with the largest c are chosen. Weights are s, without
/// the correction: divided by their sum + 1e-20 if `normalize`, then times `scale`. Without a correction c is s; with
/// one group of all experts, plain top-k of sigmoids (not normalised, Llama 4's).
/// Source: DeepSeek-V3, arXiv 2412.19437, eq. 12-16, and its model.py, class Gate.
struct GroupedSigmoidTopK {
  index_t groups = 1, kept_groups = 1;
  f32 scale = 1;
  bool normalize = true;

  void operator()(std::span<const f32> logits, std::span<const f32> correction, std::span<i32> experts,
                  std::span<f32> weights) const {
    std::vector<f32> scores(logits.size());  // c
    for (std::size_t e = 0; e < logits.size(); ++e) scores[e] = detail::sigmoid(logits[e]) + correction[e];
    choose(logits, scores, experts, weights);
  }
  void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    std::vector<f32> scores(logits.size());
    for (std::size_t e = 0; e < logits.size(); ++e) scores[e] = detail::sigmoid(logits[e]);
    choose(logits, scores, experts, weights);
  }

 private:
  void choose(std::span<const f32> logits, std::span<const f32> scores, std::span<i32> experts,
              std::span<f32> weights) const {
    if (groups < 1 || kept_groups < 1 || scores.size() % static_cast<std::size_t>(groups) != 0)
      fail("[router] ", scores.size(), " experts in ", groups, " groups of which ", kept_groups,
           " stay: expected equal groups, and at least one that stays");
    detail::clear(experts, weights);
    const std::size_t size = scores.size() / static_cast<std::size_t>(groups);
    const auto offer_group = [&](std::size_t g) {
      for (std::size_t e = g * size; e < (g + 1) * size; ++e)
        detail::offer(experts, weights, static_cast<i32>(e), scores[e]);
    };
    if (kept_groups >= groups)
      for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) offer_group(g);
    else
      for (const i32 g : best_groups(scores, size)) offer_group(static_cast<std::size_t>(g));
    for (std::size_t j = 0; j < experts.size(); ++j)
      weights[j] = experts[j] == no_expert ? 0 : detail::sigmoid(logits[static_cast<std::size_t>(experts[j])]);
    const f32 factor = normalize ? scale / (detail::total(weights) + 1e-20f) : scale;
    for (f32& w : weights) w *= factor;
  }

  /// In ascending order.
  std::vector<i32> best_groups(std::span<const f32> scores, std::size_t size) const {
    const auto kept = static_cast<std::size_t>(kept_groups);
    std::vector<i32> best(kept, no_expert);
    std::vector<f32> sums(kept);
    for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) {
      i32 two[] = {no_expert, no_expert};
      f32 of_two[] = {0, 0};
      for (std::size_t e = 0; e < size; ++e) detail::offer(two, of_two, static_cast<i32>(e), scores[g * size + e]);
      detail::offer(best, sums, static_cast<i32>(g), of_two[0] + of_two[1]);
    }
    std::sort(best.begin(), best.end());
    return best;
  }
};

}  // namespace tess::nn
