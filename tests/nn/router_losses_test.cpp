// Losses of routing against the formulas of their papers in f64, sharded and not, with the bytes that the bill says.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/router_capacity.hpp>
#include <tess/nn/router_losses.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 4, T = 10, E = 6, k = 2;
using Numbers = std::vector<f64>;
template <class M, class D>
using Logits = ShardedTensor<f32, Shape<B, T, E>, M, P<data>, D>;

f64 of(const Numbers& v, index_t i, index_t e) { return v[static_cast<std::size_t>(i * E + e)]; }

/// Rows of `logits` [B·T, E], each divided by its sum after f.
template <class F>
Numbers shares(const Numbers& logits, F f) {
  Numbers p;
  for (index_t i = 0; i < B * T; ++i) {
    f64 sum = 0;
    for (index_t e = 0; e < E; ++e) sum += f(of(logits, i, e));
    for (index_t e = 0; e < E; ++e) p.push_back(f(of(logits, i, e)) / sum);
  }
  return p;
}
f64 exponential(f64 x) { return std::exp(x); }
f64 sigmoid(f64 x) { return 1 / (1 + std::exp(-x)); }

/// How many of the tokens first … first + n chose e, among their best c.
f64 count(const Choices& choices, index_t c, index_t first, index_t n, index_t e) {
  f64 total = 0;
  for (index_t i = first; i < first + n; ++i)
    for (index_t j = 0; j < c; ++j) total += choices.experts[static_cast<std::size_t>(i * k + j)] == e;
  return total;
}
f64 mean_share(const Numbers& p, index_t first, index_t n, index_t e) {
  f64 total = 0;
  for (index_t i = first; i < first + n; ++i) total += of(p, i, e);
  return total / static_cast<f64>(n);
}

struct Losses {
  f64 z = 0, of_switch = 0, balance = 0, gshard = 0, sequence = 0;
};
Losses expected(const Numbers& logits) {
  Losses l;
  const Numbers p = shares(logits, exponential), s = shares(logits, sigmoid);
  const Choices chosen = most_probable(logits, E, k);
  constexpr f64 N = B * T;
  for (index_t i = 0; i < B * T; ++i) {
    f64 sum = 0;
    for (index_t e = 0; e < E; ++e) sum += std::exp(of(logits, i, e));
    l.z += std::log(sum) * std::log(sum) / N;
  }
  for (index_t e = 0; e < E; ++e) {
    l.of_switch += E * (count(chosen, 1, 0, B * T, e) / N) * mean_share(p, 0, B * T, e);
    l.balance += E * (count(chosen, k, 0, B * T, e) / N) * mean_share(p, 0, B * T, e);
    for (index_t b = 0; b < B; ++b) {
      l.gshard += count(chosen, 1, b * T, T, e) / T * mean_share(p, b * T, T, e) / E / B;
      l.sequence += static_cast<f64>(E) / (k * T) * count(chosen, k, b * T, T, e) * mean_share(s, b * T, T, e) / B;
    }
  }
  return l;
}

/// All five, one after the other.
template <class D, class L>
constexpr auto all_losses(D& dev, const L& logits) {
  const auto routes = route(dev, logits, k, nn::SoftmaxTopK<>{});
  return std::tuple(nn::z_loss(dev, logits), nn::switch_loss(dev, logits), nn::load_balancing_loss(dev, logits, routes),
                    nn::gshard_loss(dev, logits), nn::sequence_balance_loss(dev, logits, routes));
}
template <class M>
constexpr Cost bill() {
  Dry dev;
  (void)all_losses(dev, Logits<M, Dry>{});
  return dev.cost;
}

template <class M>
void losses_on(index_t seed) {
  CAPTURE(M::size);
  Host dev(2);
  const auto numbers = random(seed, B * T * E, 3);
  const auto found = all_losses(dev, tensor<Logits<M, Host>>(dev, {}, numbers));
  const Losses truth = expected(widened(numbers));
  const auto check = [](const auto& scalar, f64 value) {
    REQUIRE(elements(scalar).size() == 1);
    CHECK(error(elements(scalar), Numbers{value}) < 1e-6);
  };
  check(std::get<0>(found), truth.z);
  check(std::get<1>(found), truth.of_switch);
  check(std::get<2>(found), truth.balance);
  check(std::get<3>(found), truth.gshard);
  check(std::get<4>(found), truth.sequence);
  constexpr Cost cost = bill<M>();
  check_traffic(dev, cost);
}

}  // namespace

TEST_CASE("every loss is its formula, on every mesh, for the bytes of its bill") {
  for (index_t seed = 1; seed < 4; ++seed) {
    losses_on<Grid<1, 1>>(seed);
    losses_on<Grid<2, 1>>(seed);
    losses_on<Grid<4, 2>>(seed);
  }
  static_assert(bill<Grid<1, 4>>().bytes == 0);
  // Three scalars and four rows of E: an all-reduce over two receives each element once.
  static_assert(bill<Grid<2, 1>>().bytes == 4 * (3 + 4 * E));
}

TEST_CASE("experts used alike: 1, of k choices k, and least possible") {
  Host dev(1);
  using M = Grid<1, 1>;
  std::vector<f32> even;  // token i wants expert i % E by much and the next by little; E divides the tokens of a row
  constexpr index_t tokens = 12;
  for (index_t i = 0; i < tokens; ++i)
    for (index_t e = 0; e < E; ++e) even.push_back(e == i % E ? 3.0f : e == (i + 1) % E ? 2.0f : 0.0f);
  const auto logits = tensor<ShardedTensor<f32, Shape<1, tokens, E>, M, P<>, Host>>(dev, {}, even);
  const auto routes = route(dev, logits, k, nn::SoftmaxTopK<>{});
  const auto value = [](const auto& scalar) { return elements(scalar)[0]; };
  CHECK(value(nn::switch_loss(dev, logits)) == doctest::Approx(1));
  CHECK(value(nn::load_balancing_loss(dev, logits, routes)) == doctest::Approx(k));
  CHECK(value(nn::gshard_loss(dev, logits)) == doctest::Approx(1.0 / (E * E)));
  CHECK(value(nn::sequence_balance_loss(dev, logits, routes)) == doctest::Approx(1));
}

TEST_CASE("a dropped choice is no longer counted where routes are, and still where logits are") {
  Host dev(1);
  using M = Grid<1, 1>;
  const auto logits = tensor<Logits<M, Host>>(dev, {}, random(1, B * T * E, 3));
  const auto all = route(dev, logits, k, nn::SoftmaxTopK<>{});
  const auto fewer = route(dev, logits, k, nn::WithCapacity<nn::SoftmaxTopK<>>{.factor = 0.5});
  const auto loss = [&](const auto& routes) { return elements(nn::load_balancing_loss(dev, logits, routes))[0]; };
  CHECK(loss(fewer) < loss(all));
}
