// Routing with a capacity: experts that take so many tokens of a row and no more, and experts that choose their tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstdint>
#include <numeric>

#include "../core/split_mix.hpp"
#include "router_policies.hpp"

// These policies decide for all tokens of one row of the batch together: the row is the group of the papers, so that a
// token's fate depends on its row alone, on every mesh. It does depend on the row: tokens of a prompt that come in
// parts compete within a part, and padding takes room. Without one of these policies no token is dropped.
namespace tess::nn {

/// ⌈T · k / E · factor⌉ tokens of T fit into an expert: an even share times a factor, rounded up as in Megatron-Core
/// (others round down, or have a least capacity: DeepSpeed, Mesh TensorFlow).
/// Source: Fedus et al., arXiv 2101.03961, eq. 3.
inline index_t expert_capacity(index_t tokens, index_t k, index_t experts, f64 factor) {
  return static_cast<index_t>(std::ceil(static_cast<f64>(tokens * k) / static_cast<f64>(experts) * factor));
}

/// A number in [0, 1) for a token: no state, the same on every device.
struct UniformOf {
  std::uint64_t seed;
  f32 operator()(index_t group, index_t token) const {
    const std::uint64_t row = split_mix(seed, static_cast<std::uint64_t>(group));
    return static_cast<f32>(split_mix(row, static_cast<std::uint64_t>(token)) >> 40) * 0x1p-24f;
  }
};

/// `Choose` token by token, but an expert takes only the first `expert_capacity` that chose it, in the order of tokens:
/// first choices of all tokens before second ones. Choices beyond it are dropped, and the other weights stay.
template <class Choose>
struct WithCapacity {
  Choose choose{};
  f64 factor = 1.25;
  index_t least = 0;  // a capacity that it never falls below

  template <class... Given>
  void group(const TokenGroup& g, const Given&... given) const {
    const index_t room = std::max(least, expert_capacity(g.tokens, g.choices(), g.experts(), factor));
    for (index_t t = 0; t < g.tokens; ++t) choose(g.logits(t), given..., g.chosen(t), g.weights(t));
    std::vector<index_t> taken(static_cast<std::size_t>(g.experts()));
    for (std::size_t j = 0; j < static_cast<std::size_t>(g.choices()); ++j)
      for (index_t t = 0; t < g.tokens; ++t) place(g.chosen(t)[j], g.weights(t)[j], taken, room);
  }

 private:
  static void place(i32& expert, f32& weight, std::vector<index_t>& taken, index_t room) {
    if (expert == no_expert || taken[static_cast<std::size_t>(expert)]++ < room) return;
    expert = no_expert;
    weight = 0;
  }
};

/// Top-1 with a capacity; what does not fit passes by on the residual stream.
/// Source: Fedus et al., arXiv 2101.03961, section 2.2.
using Switch = WithCapacity<SoftmaxTopK<false>>;

/// Top-2 with weights that add up to one, and a capacity of 2 T / E · factor. With `random_second`, a second choice of
/// weight w is made with probability 2 w only; it counts against the capacity all the same.
/// Source: Lepikhin et al., arXiv 2006.16668, algorithm 1.
struct GShard {
  f64 factor = 1;
  bool random_second = false;
  std::uint64_t seed = 0;

  template <class... Given>
  void group(const TokenGroup& g, const Given&... given) const {
    WithCapacity<SoftmaxTopK<true>>{.factor = factor}.group(g, given...);
    if (!random_second || g.choices() < 2) return;
    for (index_t t = 0; t < g.tokens; ++t)
      if (2 * g.weights(t)[1] <= UniformOf{seed}(g.number, t)) {
        g.chosen(t)[1] = no_expert;
        g.weights(t)[1] = 0;
      }
  }
};

/// Every expert chooses the ⌈T / E · factor⌉ tokens of largest weight, the softmax over experts: `factor` choices a
/// token on average, none for some tokens and up to E for others. Equal weights go to the earlier token. Nobody is
/// dropped or empty, but a token's experts depend on the tokens after it too: not for generation.
/// Source: Zhou et al., arXiv 2202.09368, section 3.2.
struct ExpertChoice {
  f64 factor = 2;

  /// Of a token: any number of experts may choose it. They stand in ascending order.
  static constexpr index_t choices(index_t, index_t experts) { return experts; }

  void group(const TokenGroup& g) const {
    const index_t room = std::min(g.tokens, expert_capacity(g.tokens, 1, g.experts(), factor));
    std::vector<f32> scores(g.all_logits.size());  // [E, T]
    for (index_t t = 0; t < g.tokens; ++t) {
      const auto logits = g.logits(t);
      const f32 largest = *std::max_element(logits.begin(), logits.end());
      f32 sum = 0;
      for (const f32 v : logits) sum += std::exp(v - largest);
      for (std::size_t e = 0; e < logits.size(); ++e)
        scores[e * static_cast<std::size_t>(g.tokens) + static_cast<std::size_t>(t)] =
            std::exp(logits[e] - largest) / sum;
      detail::clear(g.chosen(t), g.weights(t));
    }
    std::vector<i32> order(static_cast<std::size_t>(g.tokens));
    std::vector<std::size_t> next(static_cast<std::size_t>(g.tokens));  // free place of a token
    for (index_t e = 0; e < g.experts(); ++e) {
      const f32* of = scores.data() + e * g.tokens;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + room, order.end(),
                        [of](i32 a, i32 b) { return of[a] != of[b] ? of[a] > of[b] : a < b; });
      for (index_t i = 0; i < room; ++i) {
        const i32 t = order[static_cast<std::size_t>(i)];
        const std::size_t j = next[static_cast<std::size_t>(t)]++;
        g.chosen(t)[j] = static_cast<i32>(e);
        g.weights(t)[j] = of[t];
      }
    }
  }
};

}  // namespace tess::nn
