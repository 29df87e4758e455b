// Tokens grouped by expert: each goes through exactly its k experts, none is dropped, and the sum is the direct one.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include <tess/nn/router.hpp>
#include <tess/ops/experts.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 4, T = 5, E = 6, k = 3, width = 32, out = 16;
using Tokens = Shape<dyn, dyn, width>;

template <class M, class Spec>
auto logits_of(Host& dev, index_t seed) {
  return tensor<ShardedTensor<f32, Shape<B, T, E>, M, Spec, Host>>(dev, {}, random(seed, B * T * E, 4));
}

template <class M, class Spec, class WeightSpec, class Element>
void goes_through_its_experts(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  const auto x = random(1, B * T * width);
  const auto tokens = tensor<ShardedTensor<f32, Tokens, M, Spec, Host>>(dev, Extents<Tokens>(B, T), x);
  ShardedTensor<packed<Element>, Shape<E, width, out>, M, WeightSpec, Host> w;
  const auto held = load(dev, w, {E, width, out}, random(2, E * width * out));
  using Rows = std::conditional_t<std::is_same_v<decltype(Spec{}), P<>>, P<>, P<data>>;
  const auto routes = route(dev, logits_of<M, Rows>(dev, 3), k, nn::SoftmaxTopK<>{});
  const auto y = combine(dev, matmul(dev, dispatch(dev, tokens, routes, E), w), routes);
  const auto truth = weighted_sum(x, width, elements(routes.experts), elements(routes.weights), k,
                                  [&](const std::vector<f64>& token, index_t e) {
                                    return product(token, matrix(held, e, width, out), width, out);
                                  });
  CHECK(error(elements(reduce(dev, y)), truth) <= bound);
}

}  // namespace

TEST_CASE("the weighted sum of a token's experts, on every mesh and for every weight type") {
  goes_through_its_experts<Grid<1, 1>, P<>, P<>, f32>(1e-6);
  goes_through_its_experts<Grid<2, 2>, P<data>, P<None, None, model>, f32>(1e-6);
  goes_through_its_experts<Grid<2, 2>, P<data, None, model>, P<None, model>, f32>(1e-6);
  goes_through_its_experts<Grid<1, 1>, P<>, P<>, q8<1>>(1e-4);
  goes_through_its_experts<Grid<2, 2>, P<data, None, model>, P<None, model>, q8<1>>(1e-4);
}

TEST_CASE("softmax over all, then the k largest, best first; equal ones go to the lower index") {
  Host dev(1);
  const std::vector<f32> rows = {1, 3, 3, 0, 3, 2,   // three equal ones
                                 0, 0, 0, 0, 0, 0};  // all equal
  const auto logits = tensor<ShardedTensor<f32, Shape<1, 2, E>, Grid<1, 1>, P<>, Host>>(dev, {}, rows);
  const auto routes = route(dev, logits, k, nn::SoftmaxTopK<>{});
  CHECK(elements(routes.experts) == std::vector<i32>{1, 2, 4, 0, 1, 2});
  const f64 sum = std::exp(-2.0) + 3 + std::exp(-3.0) + std::exp(-1.0);
  CHECK(error(elements(routes.weights), std::vector<f64>{1 / sum, 1 / sum, 1 / sum, 1 / 6.0, 1 / 6.0, 1 / 6.0}) < 1e-6);
}

TEST_CASE("dispatch: every token's row appears once under each of its experts, in token order within an expert") {
  Host dev(1);
  using M = Grid<2, 2>;
  const auto x = random(1, B * T * width);
  const auto tokens = tensor<ShardedTensor<f32, Tokens, M, P<data>, Host>>(dev, Extents<Tokens>(B, T), x);
  const auto routes = route(dev, logits_of<M, P<data>>(dev, 3), k, nn::SoftmaxTopK<>{});
  const auto g = dispatch(dev, tokens, routes, E);
  const index_t own = B * T / 2;  // tokens of a device
  for (index_t device = 0; device < M::size; ++device) {
    const i32* at = g.offsets.storage().data(device);
    const i32* ids = routes.experts.storage().data(device);
    const f32* rows = g.rows.storage().data(device);
    REQUIRE(at[0] == 0);
    REQUIRE(at[E] == own * k);
    for (i32 e = 0; e < E; ++e) {
      i32 row = at[e];
      for (index_t token = 0; token < own; ++token) {
        if (std::find(ids + token * k, ids + (token + 1) * k, e) == ids + (token + 1) * k) continue;
        REQUIRE(row < at[e + 1]);
        CHECK(std::equal(rows + row * width, rows + (row + 1) * width, tokens.storage().data(device) + token * width));
        ++row;
      }
      CHECK(row == at[e + 1]);
    }
  }
  CHECK(dev.traffic().collectives == 0);
}

namespace {
/// Token i on its device: choice j is expert (i + j) % E, unless (i + j) is a multiple of 3; token 0 has no expert at
/// all.
struct SomeOfNone {
  void operator()(index_t i, std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    for (std::size_t j = 0; j < experts.size(); ++j) {
      const index_t at = i + static_cast<index_t>(j);
      experts[j] = i == 0 || at % 3 == 0 ? no_expert : static_cast<i32>(at % E);
      weights[j] = std::abs(logits[j]) + 1;
    }
  }
};

template <class M, class Spec, class WeightSpec, class BiasSpec>
void some_choose_none() {
  CAPTURE(M::size);
  Host dev(2);
  const auto x = random(1, B * T * width);
  const auto tokens = tensor<ShardedTensor<f32, Tokens, M, Spec, Host>>(dev, Extents<Tokens>(B, T), x);
  ShardedTensor<packed<f32>, Shape<E, width, out>, M, WeightSpec, Host> w;
  const auto held = load(dev, w, {E, width, out}, random(2, E * width * out));
  const auto b = random(4, E * out);
  const auto bias = tensor<ShardedTensor<f32, Shape<E, out>, M, BiasSpec, Host>>(dev, {}, b);
  using Rows = std::conditional_t<std::is_same_v<decltype(Spec{}), P<>>, P<>, P<data>>;
  const auto routes = route(dev, logits_of<M, Rows>(dev, 3), k, SomeOfNone{});
  const auto rows = dispatch(dev, tokens, routes, E);
  const index_t tokens_of_device = B * T / parts<M>(SpecValue(routes.experts.sharding)[0]);
  index_t choices = 0;
  for (index_t i = 0; i < tokens_of_device * k; ++i) choices += routes.experts.storage().data(0)[i] != no_expert;
  CHECK(choices < tokens_of_device * k);
  CHECK(rows.offsets.storage().data(0)[E] == choices);

  const auto y = matmul(dev, rows, w);
  using Pending =
      std::conditional_t<(decltype(y.rows)::sharding.partial != 0), P<None, None, Partial<model>>, BiasSpec>;
  const auto pended = reshard<Pending>(dev, bias);
  const auto doubled = map<f32>(
      dev, [](f32 v) { return 2 * v; }, reduce(dev, add_bias(dev, y, pended)));
  const auto truth =
      weighted_sum(x, width, elements(routes.experts), elements(routes.weights), k, [&](const auto& token, index_t e) {
        auto row = std::vector<f64>(out);
        if (e == no_expert) return row;
        row = product(token, matrix(held, e, width, out), width, out);
        for (index_t n = 0; n < out; ++n)
          row[static_cast<std::size_t>(n)] += static_cast<f64>(b[static_cast<std::size_t>(e * out + n)]);
        for (f64& v : row) v *= 2;
        return row;
      });
  const auto found = elements(combine(dev, doubled, routes));
  CHECK(error(found, truth) < 1e-6);
  for (index_t n = 0; n < out; ++n) CHECK(found[static_cast<std::size_t>(n)] == 0);  // token 0
}
}  // namespace

TEST_CASE(
    "a choice of no expert has no row and adds nothing; the others keep their expert, its bias and their weight") {
  some_choose_none<Grid<1, 1>, P<>, P<>, P<>>();
  some_choose_none<Grid<2, 2>, P<data>, P<None, None, model>, P<None, model>>();
  some_choose_none<Grid<2, 2>, P<data, None, model>, P<None, model>, P<>>();
}

TEST_CASE("rows that belong to no choice are not touched by functions of the rows") {
  Host dev(1);
  using M = Grid<1, 1>;
  const auto tokens =
      tensor<ShardedTensor<f32, Tokens, M, P<>, Host>>(dev, Extents<Tokens>(B, T), random(1, B * T * width));
  const auto routes = route(dev, logits_of<M, P<>>(dev, 3), k, SomeOfNone{});
  const auto rows = dispatch(dev, tokens, routes, E);
  index_t calls = 0;
  map<f32>(
      dev,
      [&calls](f32 v) {
        ++calls;
        return v;
      },
      rows);
  const index_t used = rows.offsets.storage().data(0)[E] * width;
  CHECK(used < B * T * k * width);
  CHECK(calls >= used);
  CHECK(calls < used + 64);  // whole vectors
}

TEST_CASE("rows of f64 stay f64") {
  Host dev(1);
  using M = Grid<1, 1>;
  const std::vector<f64> x = {1 + 0x1p-50, 2, 3 - 0x1p-50, 4};
  const auto tokens = tensor<ShardedTensor<f64, Shape<1, 2, 2>, M, P<>, Host>>(dev, {}, x);
  const auto logits = tensor<ShardedTensor<f32, Shape<1, 2, 2>, M, P<>, Host>>(dev, {}, std::vector<f32>{1, 0, 1, 0});
  const auto rows = dispatch(dev, tokens, route(dev, logits, 1, nn::SoftmaxTopK<>{}), 2);
  const auto doubled = map<f64>(
      dev, [](f64 v) { return 2 * v; }, rows);
  CHECK(elements(doubled.rows) == std::vector<f64>{2 + 0x1p-49, 4, 6 - 0x1p-49, 8});
}

TEST_CASE("a correction reaches the policy behind the logits, whole on every device") {
  struct Corrected {
    void operator()(std::span<const f32> logits, std::span<const f32> correction, std::span<i32> experts,
                    std::span<f32> weights) const {
      for (std::size_t j = 0; j < experts.size(); ++j) {
        experts[j] = static_cast<i32>(j);
        weights[j] = logits[j] + correction[j];
      }
    }
  };
  Host dev(1);
  using M = Grid<2, 2>;
  const auto correction = random(9, E);
  const auto given = tensor<ShardedTensor<f32, Shape<E>, M, P<>, Host>>(dev, {}, correction);
  const auto logits = logits_of<M, P<data>>(dev, 3);
  const auto values = elements(logits), weights = elements(route(dev, logits, given, E, Corrected{}).weights);
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(weights[i] == values[i] + correction[i % E]);

  const auto short_one =
      tensor<ShardedTensor<f32, Shape<dyn>, M, P<>, Host>>(dev, Extents<Shape<dyn>>{E - 1}, random(9, E - 1));
  CHECK_THROWS_WITH_AS(route(dev, logits, short_one, k, Corrected{}),
                       "[route] a policy is given a row of 5 numbers for 6 experts", Error);
}

TEST_CASE("more experts a token than there are, or none, is an error") {
  Host dev(1);
  const auto logits = logits_of<Grid<1, 1>, P<>>(dev, 1);
  CHECK_THROWS_WITH_AS(route(dev, logits, E + 1, nn::SoftmaxTopK<>{}), "[route] 7 experts a token were asked for, of 6",
                       Error);
  CHECK_THROWS_AS(route(dev, logits, 0, nn::SoftmaxTopK<>{}), Error);
  CHECK_NOTHROW(route(dev, logits, E, nn::SoftmaxTopK<>{}));
}
