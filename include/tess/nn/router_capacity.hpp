// Routing with a capacity: experts that take so many tokens of a row and no more, and experts that choose their tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>

#include "../core/split_mix.hpp"
#include "router_policies.hpp"

// These policies decide for all tokens of one row of the batch together: the row is the group of the papers, so that a
// token's fate depends on its row alone, on every mesh. It does depend on the row: tokens of a prompt that come in
// parts compete within a part, and padding takes room. Without one of these policies no token is dropped.
namespace tess::nn {

/// ⌈T · k / E · factor⌉ tokens of T fit into an expert: an even share times a factor, rounded up as in Megatron-Core
/// (others round down, or have a least capacity: DeepSpeed, Mesh TensorFlow).
/// Source: Fedus et al., arXiv 2101.03961, eq. 3.
constexpr index_t expert_capacity(index_t tokens, index_t k, index_t experts, f64 factor) {
  return static_cast<index_t>(math::ceil(static_cast<f64>(tokens * k) / static_cast<f64>(experts) * factor));
}

/// A number in [0, 1) for a token: no state, the same on every device.
struct UniformOf {
  std::uint64_t seed;
  constexpr f32 operator()(index_t group, index_t token) const {
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

  void check(index_t experts) const {
    if constexpr (requires { choose.check(experts); }) choose.check(experts);
  }

  template <class... Given>
  constexpr void group(const TokenGroup& g, const Given&... given) const {
    const index_t room = std::max(least, expert_capacity(g.tokens, g.choices(), g.experts(), factor));
    for (index_t t = 0; t < g.tokens; ++t) choose(g.logits(t), given..., g.chosen(t), g.weights(t));
    constexpr index_t together = 64;  // experts counted in one pass over the choices
    for (index_t first = 0; first < g.experts(); first += together) {
      index_t taken[together] = {};
      for (std::size_t j = 0; j < static_cast<std::size_t>(g.choices()); ++j)
        for (index_t t = 0; t < g.tokens; ++t) {
          i32& expert = g.chosen(t)[j];
          if (expert < first || expert >= first + together || taken[expert - first]++ < room) continue;
          expert = no_expert;
          g.weights(t)[j] = 0;
        }
    }
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
  constexpr void group(const TokenGroup& g, const Given&... given) const {
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

  constexpr void group(const TokenGroup& g) const {
    const index_t room = std::min(g.tokens, expert_capacity(g.tokens, 1, g.experts(), factor));
    for (index_t t = 0; t < g.tokens; ++t) probabilities(g.logits(t), g.weights(t));
    for (std::size_t e = 0; e < static_cast<std::size_t>(g.experts()); ++e) take_best(g, e, room);
    for (index_t t = 0; t < g.tokens; ++t) close_ranks(g.chosen(t), g.weights(t));
  }

 private:
  static constexpr void probabilities(std::span<const f32> logits, std::span<f32> p) {
    const f32 largest = *std::max_element(logits.begin(), logits.end());
    f32 sum = 0;
    for (const f32 v : logits) sum += math::exp(v - largest);
    for (std::size_t e = 0; e < logits.size(); ++e) p[e] = math::exp(logits[e] - largest) / sum;
  }
  /// The tokens of an expert. Probabilities are in the order of their bits: the room's last is found bit by bit.
  static constexpr void take_best(const TokenGroup& g, std::size_t e, index_t room) {
    const auto bits = [&](index_t t) { return std::bit_cast<std::uint32_t>(g.weights(t)[e]); };
    const auto at_least = [&](std::uint32_t least) {
      index_t n = 0;
      for (index_t t = 0; t < g.tokens; ++t) n += bits(t) >= least;
      return n;
    };
    std::uint32_t last = 0;
    for (std::uint32_t bit = 1u << 30; bit > 0; bit >>= 1)
      if (at_least(last | bit) >= room) last |= bit;
    index_t equal = room - at_least(last + 1);  // of these, the earlier tokens
    for (index_t t = 0; t < g.tokens; ++t) {
      const bool chosen = bits(t) > last || (bits(t) == last && equal-- > 0);
      g.chosen(t)[e] = chosen ? static_cast<i32>(e) : no_expert;
    }
  }
  /// The experts that chose a token to the front.
  static constexpr void close_ranks(std::span<i32> experts, std::span<f32> weights) {
    std::size_t n = 0;
    for (std::size_t e = 0; e < experts.size(); ++e)
      if (experts[e] != no_expert) {
        experts[n] = experts[e];
        weights[n++] = weights[e];
      }
    detail::clear(experts.subspan(n), weights.subspan(n));
  }
};

}  // namespace tess::nn
