// Routing policies against the formulas of their papers, in f64, on random logits of few and of many experts.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include <tess/nn/router_policies.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct Route {
  std::vector<i32> experts;
  std::vector<f32> weights;
};
template <class Choose, class... Given>
Route routed(const Choose& choose, index_t k, const std::vector<f32>& logits, const Given&... given) {
  Route r{std::vector<i32>(static_cast<std::size_t>(k)), std::vector<f32>(static_cast<std::size_t>(k))};
  if constexpr (requires { choose.check(0); }) choose.check(static_cast<index_t>(logits.size()));
  choose(std::span<const f32>(logits), std::span<const f32>(given)..., std::span<i32>(r.experts),
         std::span<f32>(r.weights));
  return r;
}

/// The k largest, best first.
std::vector<i32> top(const std::vector<f64>& scores, index_t k) {
  std::vector<i32> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(k));
  return order;
}
f64 sigmoid(f64 x) { return 1 / (1 + std::exp(-x)); }

struct Groups {
  index_t groups, kept;
};

/// DeepSeek-V3's paper, equations 12 to 16, and the restriction to groups (nodes) of section 2.1.2.
Choices deepseek(const std::vector<f32>& logits, const std::vector<f32>& bias, index_t k, Groups of, f64 scale,
                 bool normalize) {
  const std::size_t E = logits.size(), size = E / static_cast<std::size_t>(of.groups);
  std::vector<f64> s(E), c(E), group_score(static_cast<std::size_t>(of.groups));
  for (std::size_t e = 0; e < E; ++e) {
    s[e] = sigmoid(static_cast<f64>(logits[e]));
    c[e] = s[e] + static_cast<f64>(bias[e]);
  }
  for (std::size_t g = 0; g < group_score.size(); ++g) {
    std::vector<f64> in_group(c.begin() + static_cast<std::ptrdiff_t>(g * size),
                              c.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(in_group.rbegin(), in_group.rend());
    group_score[g] = in_group[0] + in_group[1];
  }
  std::vector<f64> masked(E, -std::numeric_limits<f64>::infinity());
  for (const i32 g : top(group_score, of.kept))
    for (std::size_t i = 0; i < size; ++i)
      masked[static_cast<std::size_t>(g) * size + i] = c[static_cast<std::size_t>(g) * size + i];
  Choices r{top(masked, k), {}};
  f64 sum = 1e-20;
  for (const i32 e : r.experts) sum += s[static_cast<std::size_t>(e)];
  for (const i32 e : r.experts) r.weights.push_back(scale * s[static_cast<std::size_t>(e)] / (normalize ? sum : 1));
  return r;
}

}  // namespace

TEST_CASE("softmax, then the k largest; normalised or not, also when only a run knows which") {
  for (const index_t E : {8, 60, 256})
    for (index_t seed = 0; seed < 20; ++seed) {
      const auto logits = random(seed, E, 6);
      for (const index_t k : {index_t{1}, index_t{2}, index_t{8}}) {
        const Choices plain = most_probable(widened(logits), E, k),
                      normalised = most_probable(widened(logits), E, k, true);
        const Route r = routed(nn::SoftmaxTopK<>{}, k, logits),
                    n = routed(nn::SoftmaxTopK<>{.normalize = true}, k, logits);
        CHECK(r.experts == plain.experts);
        CHECK(error(r.weights, plain.weights) < 1e-6);
        CHECK(n.experts == plain.experts);
        CHECK(error(n.weights, normalised.weights) < 1e-6);
        CHECK(routed(nn::SoftmaxTopK<true>{}, k, logits).weights == n.weights);
      }
    }
}

TEST_CASE("the k largest logits, then softmax over them") {
  for (const index_t E : {8, 128})
    for (index_t seed = 0; seed < 20; ++seed) {
      const auto logits = random(seed, E, 6);
      const Choices truth = most_probable(widened(logits), E, 4, true);
      const Route r = routed(nn::TopKSoftmax{}, 4, logits);
      CHECK(r.experts == truth.experts);
      CHECK(error(r.weights, truth.weights) < 1e-6);
    }
  const Route huge = routed(nn::TopKSoftmax{}, 2, {3e38f, -3e38f, 3e38f});
  CHECK(huge.experts == std::vector<i32>{0, 2});
  CHECK(huge.weights == std::vector<f32>{0.5f, 0.5f});
}

TEST_CASE("DeepSeek-V3: sigmoid, a correction that chooses and does not weigh, groups, a factor") {
  struct Case {
    index_t experts, k;
    Groups of;
    f64 scale;
    bool normalize;
  };
  index_t differs = 0;  // from what would be chosen without the correction, or without the groups
  for (const Case& c : {Case{16, 4, {4, 2}, 1, true}, Case{16, 4, {4, 2}, 2.5, false}, Case{256, 8, {8, 4}, 2.5, true},
                        Case{64, 6, {1, 1}, 1, false}, Case{8, 8, {4, 4}, 1, true}})
    for (index_t seed = 0; seed < 40; ++seed) {
      const auto logits = random(seed, c.experts, 4), bias = random(seed + 100, c.experts, 0.3);
      const Choices truth = deepseek(logits, bias, c.k, c.of, c.scale, c.normalize);
      const nn::GroupedSigmoidTopK choose{c.of.groups, c.of.kept, static_cast<f32>(c.scale), c.normalize};
      const Route r = routed(choose, c.k, logits, bias);
      CHECK(r.experts == truth.experts);
      CHECK(error(r.weights, truth.weights) < 1e-6);
      const std::vector<f32> none(logits.size());
      differs += deepseek(logits, none, c.k, c.of, 1, true).experts != truth.experts;
      differs += deepseek(logits, bias, c.k, {1, 1}, 1, true).experts != truth.experts;
      const Route uncorrected = routed(choose, c.k, logits), zero = routed(choose, c.k, logits, none);
      CHECK(uncorrected.experts == zero.experts);
      CHECK(uncorrected.weights == zero.weights);
    }
  CHECK(differs > 40);
}

TEST_CASE("top-1 of sigmoids: the largest logit, and its sigmoid") {
  const std::vector<f32> logits = {0.5f, -3, 2, 1};
  const Route r = routed(nn::GroupedSigmoidTopK{.normalize = false}, 1, logits);
  CHECK(r.experts == std::vector<i32>{2});
  CHECK(error(r.weights, std::vector<f64>{sigmoid(2)}) < 1e-6);
}

TEST_CASE("more experts than the kept groups have: the others are none, and weigh nothing") {
  const std::vector<f32> logits = {4, 3, -1, -2};
  const Route r = routed(nn::GroupedSigmoidTopK{.groups = 2, .kept_groups = 1}, 3, logits);
  CHECK(r.experts == std::vector<i32>{0, 1, no_expert});
  CHECK(r.weights[2] == 0);
}

TEST_CASE("groups that are not equal, or none, are an error") {
  const std::vector<f32> logits = {4, 3, -1, -2, 0, 1};
  CHECK_THROWS_WITH_AS(
      routed(nn::GroupedSigmoidTopK{.groups = 4}, 2, logits),
      "[router] 6 experts in 4 groups of which 1 stay: expected up to 64 equal groups, and at least one that stays",
      Error);
  CHECK_THROWS_AS(routed(nn::GroupedSigmoidTopK{.groups = 0}, 2, logits), Error);
  CHECK_THROWS_AS(routed(nn::GroupedSigmoidTopK{.groups = 65}, 2, std::vector<f32>(65)), Error);
  CHECK_THROWS_AS(routed(nn::GroupedSigmoidTopK{.groups = 3, .kept_groups = 0}, 2, logits), Error);
}

TEST_CASE("equal scores go to the lower index under every policy") {
  const std::vector<f32> logits = {1, 2, 2, 1, 2, 2, 1, 1};
  const std::vector<i32> first = {1, 2, 4};
  CHECK(routed(nn::SoftmaxTopK<>{}, 3, logits).experts == first);
  CHECK(routed(nn::TopKSoftmax{}, 3, logits).experts == first);
  CHECK(routed(nn::GroupedSigmoidTopK{.groups = 4, .kept_groups = 3}, 3, logits).experts == first);
}
