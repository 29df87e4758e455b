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

TEST_CASE("more experts a token than there are, or none, is an error") {
  Host dev(1);
  const auto logits = logits_of<Grid<1, 1>, P<>>(dev, 1);
  CHECK_THROWS_WITH_AS(route(dev, logits, E + 1, nn::SoftmaxTopK<>{}), "[route] 7 experts a token were asked for, of 6",
                       Error);
  CHECK_THROWS_AS(route(dev, logits, 0, nn::SoftmaxTopK<>{}), Error);
  CHECK_NOTHROW(route(dev, logits, E, nn::SoftmaxTopK<>{}));
}
