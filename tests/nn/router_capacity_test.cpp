// Routing with a capacity: against the algorithms of the papers written with masks and running sums in f64, on meshes.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/router_capacity.hpp>
#include <tess/ops/experts.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 4, T = 24, E = 6, width = 8;
using Logits = std::vector<f32>;  // [B, T, E]

/// Combine weights G [B, T, E], 0 where a token does not go to an expert.
using Combine = std::vector<f64>;
std::size_t at(index_t b, index_t t, index_t e) { return static_cast<std::size_t>((b * T + t) * E + e); }

std::vector<f64> softmax_of(const Logits& logits, index_t b, index_t t) {
  std::vector<f64> p;
  f64 sum = 0;
  for (index_t e = 0; e < E; ++e) sum += p.emplace_back(std::exp(static_cast<f64>(logits[at(b, t, e)])));
  for (f64& v : p) v /= sum;
  return p;
}
index_t place_of_largest(const std::vector<f64>& p) { return std::max_element(p.begin(), p.end()) - p.begin(); }

/// Algorithm 1 of arXiv 2006.16668, line by line; `rnd` is its uniform(0, 1).
template <class Rnd>
Combine gshard(const Logits& logits, index_t C, Rnd rnd) {
  Combine G(logits.size());
  for (index_t b = 0; b < B; ++b) {
    std::vector<index_t> c_e(E);
    const auto top_2 = [&](index_t s) {
      auto g = softmax_of(logits, b, s);
      const index_t e1 = place_of_largest(g);
      const f64 g1 = g[static_cast<std::size_t>(e1)];
      g[static_cast<std::size_t>(e1)] = -1;
      const index_t e2 = place_of_largest(g);
      return std::tuple(g1, e1, g[static_cast<std::size_t>(e2)], e2);
    };
    for (index_t s = 0; s < T; ++s) {
      auto [g1, e1, g2, e2] = top_2(s);
      g1 = g1 / (g1 + g2);
      const index_t c = c_e[static_cast<std::size_t>(e1)];
      if (c < C) G[at(b, s, e1)] = g1;
      c_e[static_cast<std::size_t>(e1)] = c + 1;
    }
    for (index_t s = 0; s < T; ++s) {
      auto [g1, e1, g2, e2] = top_2(s);
      g2 = g2 / (g1 + g2);
      const index_t c = c_e[static_cast<std::size_t>(e2)];
      if (c < C && 2 * g2 > rnd(b, s)) G[at(b, s, e2)] = g2;
      c_e[static_cast<std::size_t>(e2)] = c + 1;
    }
  }
  return G;
}

/// Switch as its appendix F computes it: expert_mask = one_hot(argmax), position = cumsum(mask) · mask, kept while the
/// position is within the capacity; the gate is the probability.
Combine switch_routing(const Logits& logits, index_t C) {
  Combine G(logits.size());
  for (index_t b = 0; b < B; ++b) {
    std::vector<f64> cumsum(E);
    for (index_t t = 0; t < T; ++t) {
      const auto p = softmax_of(logits, b, t);
      const index_t chosen = place_of_largest(p);
      for (index_t e = 0; e < E; ++e) {
        const f64 mask = e == chosen;
        const f64 position = (cumsum[static_cast<std::size_t>(e)] += mask) * mask;
        G[at(b, t, e)] = p[static_cast<std::size_t>(e)] * mask * (position <= static_cast<f64>(C));
      }
    }
  }
  return G;
}

/// arXiv 2202.09368, section 3.2: S = softmax over experts, G and I = top-k of S transposed, P = one_hot(I).
Combine expert_choice(const Logits& logits, index_t k) {
  Combine G(logits.size());
  for (index_t b = 0; b < B; ++b)
    for (index_t e = 0; e < E; ++e) {
      std::vector<std::pair<f64, index_t>> column;  // of S
      for (index_t t = 0; t < T; ++t) column.emplace_back(-softmax_of(logits, b, t)[static_cast<std::size_t>(e)], t);
      std::sort(column.begin(), column.end());
      for (index_t i = 0; i < k; ++i)
        G[at(b, column[static_cast<std::size_t>(i)].second, e)] = -column[static_cast<std::size_t>(i)].first;
    }
  return G;
}

template <class Routes>
Combine combine_of(const Routes& routes) {
  const auto experts = elements(routes.experts);
  const auto weights = elements(routes.weights);
  const std::size_t k = experts.size() / (B * T);
  Combine G(static_cast<std::size_t>(B * T * E));
  for (std::size_t i = 0; i < experts.size(); ++i) {
    if (experts[i] == no_expert) {
      CHECK(weights[i] == 0);
      continue;
    }
    f64& g = G[i / k * E + static_cast<std::size_t>(experts[i])];
    CHECK(g == 0);  // no expert twice
    g = static_cast<f64>(weights[i]);
  }
  return G;
}
/// The most tokens of a row in one expert.
index_t fullest(const Combine& G) {
  index_t most = 0;
  for (index_t b = 0; b < B; ++b)
    for (index_t e = 0; e < E; ++e) {
      index_t n = 0;
      for (index_t t = 0; t < T; ++t) n += G[at(b, t, e)] > 0;
      most = std::max(most, n);
    }
  return most;
}
index_t kept(const Combine& G) {
  return static_cast<index_t>(std::count_if(G.begin(), G.end(), [](f64 g) { return g > 0; }));
}

/// Every third token wants expert 1 more than all others, so that it overflows.
Logits crowded(index_t seed) {
  Logits logits = random(seed, B * T * E, 3);
  for (std::size_t i = 0; i < B * T; i += 3) logits[i * E + 1] += 5;
  return logits;
}

template <class M, class Choose>
Combine routed(const Logits& logits, index_t k, const Choose& choose) {
  Host dev(2);
  const auto routes =
      route(dev, tensor<ShardedTensor<f32, Shape<B, T, E>, M, P<data>, Host>>(dev, {}, logits), k, choose);
  CHECK(dev.traffic().collectives == 0);
  return combine_of(routes);
}
template <class Choose>
void equals(const Logits& logits, index_t k, const Choose& choose, const Combine& truth) {
  const Combine one = routed<Grid<1, 1>>(logits, k, choose);
  CHECK(error(one, truth) < 1e-6);
  CHECK(kept(one) == kept(truth));
  CHECK(routed<Grid<2, 2>>(logits, k, choose) == one);
  CHECK(routed<Grid<4, 1>>(logits, k, choose) == one);
}

}  // namespace

TEST_CASE("the capacity of an expert is an even share times the factor, rounded up") {
  CHECK(nn::expert_capacity(8, 2, 8, 1) == 2);
  CHECK(nn::expert_capacity(8, 2, 8, 1.25) == 3);
  CHECK(nn::expert_capacity(100, 1, 8, 1) == 13);
  CHECK(nn::expert_capacity(1, 1, 128, 1) == 1);
}

TEST_CASE("GShard: first choices before second ones, both in the order of tokens, up to the capacity") {
  for (index_t seed = 1; seed < 6; ++seed)
    for (const f64 factor : {0.5, 1.0, 1.25, 6.0}) {
      CAPTURE(factor);
      const Logits logits = crowded(seed);
      const index_t C = nn::expert_capacity(T, 2, E, factor);
      const Combine truth = gshard(logits, C, [](index_t, index_t) { return 0.0; });
      equals(logits, 2, nn::GShard{.factor = factor}, truth);
      CHECK(fullest(truth) <= C);
      if (factor <= 1) CHECK(kept(truth) < 2 * B * T);
      if (factor == 6) CHECK(kept(truth) == 2 * B * T);
    }
}

TEST_CASE("GShard with random second choices: a given seed gives given choices, in proportion to their weight") {
  const Logits logits = crowded(2);
  const nn::UniformOf uniform{17};
  const Combine truth = gshard(logits, 8, [&](index_t b, index_t s) { return static_cast<f64>(uniform(b, s)); });
  equals(logits, 2, nn::GShard{.factor = 1, .random_second = true, .seed = 17}, truth);
  CHECK(truth != gshard(logits, 8, [](index_t, index_t) { return 0.0; }));
  CHECK(routed<Grid<1, 1>>(logits, 2, nn::GShard{.random_second = true, .seed = 18}) !=
        routed<Grid<1, 1>>(logits, 2, nn::GShard{.random_second = true, .seed = 17}));

  f64 sum = 0, squares = 0;
  for (index_t b = 0; b < 100; ++b)
    for (index_t t = 0; t < 100; ++t) {
      const f64 u = static_cast<f64>(uniform(b, t));
      REQUIRE(u >= 0);
      REQUIRE(u < 1);
      sum += u, squares += u * u;
    }
  CHECK(std::abs(sum / 10000 - 0.5) < 0.01);
  CHECK(std::abs(squares / 10000 - 1 / 3.0) < 0.01);
}

TEST_CASE("Switch: one expert a token, the first that come, by mask and cumsum") {
  for (index_t seed = 1; seed < 6; ++seed)
    for (const f64 factor : {0.5, 1.0, 1.25, 6.0}) {
      const Logits logits = crowded(seed);
      const index_t C = nn::expert_capacity(T, 1, E, factor);
      const Combine truth = switch_routing(logits, C);
      equals(logits, 1, nn::Switch{.factor = factor}, truth);
      CHECK(fullest(truth) <= C);
      if (factor <= 1) CHECK(kept(truth) < B * T);
    }
  CHECK(kept(routed<Grid<1, 1>>(crowded(1), 1, nn::Switch{.factor = 0.1, .least = T})) == B * T);
}

TEST_CASE("expert choice: every expert takes its capacity, and any number of experts may take a token") {
  for (index_t seed = 1; seed < 6; ++seed)
    for (const f64 factor : {0.5, 1.0, 2.0, 100.0}) {
      const Logits logits = crowded(seed);
      const index_t C = std::min(T, nn::expert_capacity(T, 1, E, factor));
      const Combine truth = expert_choice(logits, C);
      equals(logits, 2, nn::ExpertChoice{factor}, truth);
      CHECK(kept(truth) == B * E * C);
    }
}

TEST_CASE("any policy with a capacity: DeepSeek-V3's choices in the order of ranks, the correction handed through") {
  const Logits logits = crowded(3);
  const auto correction = random(5, E, 0.3);
  constexpr index_t k = 3, C = 8;
  const nn::GroupedSigmoidTopK choose{.groups = 3, .kept_groups = 2};
  Host dev(1);
  using M = Grid<2, 1>;
  const auto given = tensor<ShardedTensor<f32, Shape<E>, M, P<>, Host>>(dev, {}, correction);
  const auto of = tensor<ShardedTensor<f32, Shape<B, T, E>, M, P<data>, Host>>(dev, {}, logits);
  const auto all = route(dev, of, given, k, choose);
  const auto experts = elements(all.experts);
  const auto weights = elements(all.weights);
  Combine truth(logits.size());
  for (index_t b = 0; b < B; ++b) {
    std::vector<index_t> count(E);
    for (index_t j = 0; j < k; ++j)
      for (index_t t = 0; t < T; ++t) {
        const auto i = static_cast<std::size_t>((b * T + t) * k + j);
        if (count[static_cast<std::size_t>(experts[i])]++ < C)
          truth[at(b, t, experts[i])] = static_cast<f64>(weights[i]);
      }
  }
  const nn::WithCapacity<nn::GroupedSigmoidTopK> limited{.choose = choose, .factor = C * E / static_cast<f64>(T * k)};
  CHECK(combine_of(route(dev, of, given, k, limited)) == truth);
  CHECK(kept(truth) < k * B * T);
}

TEST_CASE("through dispatch and combine: identity experts give back what the weights keep") {
  Host dev(2);
  using M = Grid<2, 1>;
  const auto x = random(7, B * T * width);
  const Logits logits = crowded(4);
  const auto tokens = tensor<ShardedTensor<f32, Shape<B, T, width>, M, P<data>, Host>>(dev, {}, x);
  const auto of = tensor<ShardedTensor<f32, Shape<B, T, E>, M, P<data>, Host>>(dev, {}, logits);
  const auto through = [&](index_t k, auto choose) {
    const auto routes = route(dev, of, k, choose);
    const Combine G = combine_of(routes);
    auto y = elements(combine(dev, dispatch(dev, tokens, routes, E), routes));
    std::vector<f64> truth;
    for (index_t i = 0; i < B * T; ++i) {
      f64 share = 0;
      for (index_t e = 0; e < E; ++e) share += G[static_cast<std::size_t>(i * E + e)];
      for (index_t n = 0; n < width; ++n)
        truth.push_back(share * static_cast<f64>(x[static_cast<std::size_t>(i * width + n)]));
    }
    CHECK(error(y, truth) < 1e-6);
    return y;
  };
  through(2, nn::GShard{});
  through(1, nn::Switch{});
  through(2, nn::ExpertChoice{});
  CHECK(error(through(2, nn::GShard{.factor = 6}), x) < 1e-6);  // none dropped, weights add up to one
}
