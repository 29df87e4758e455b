// Router: logits in f32, then a policy that chooses; which policy is a template argument.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/router.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;
constexpr index_t B = 4, T = 6, width = 64, E = 8, k = 2;
using S = Shape<dyn, dyn, width>;

/// Routes on mesh M, for x under Spec and router weights under WeightSpec: compared with softmax and sorting in f64.
template <class M, class Spec, class WeightSpec, bool Normalize, class Strategy = nn::WeightStationary>
void routes() {
  Host dev(2);
  nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, WeightSpec, Host>, nn::SoftmaxTopK<Normalize>, nn::NoBias,
             nn::NoCorrection, Strategy>
      router;
  router.selected = k;
  const auto w = load(dev, router.weight, {width, E}, random(2, width * E));
  const auto x = random(1, B * T * width);
  const auto r = router(dev, tensor<ShardedTensor<f32, S, M, Spec, Host>>(dev, Extents<S>(B, T), x));

  const Choices truth = most_probable(product(widened(x), w, width, E), E, k, Normalize);
  CHECK(elements(r.experts) == truth.experts);
  CHECK(error(elements(r.weights), truth.weights) < 1e-5);

  Dry dry;
  const nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, WeightSpec>, nn::SoftmaxTopK<Normalize>, nn::NoBias,
                   nn::NoCorrection, Strategy>
      dried;
  dried(dry, make<ShardedTensor<f32, S, M, Spec>>(dry, Extents<S>(B, T)));
  check_traffic(dev, dry.cost);
}

/// A policy of one's own: always the last k experts, in equal parts.
struct LastOnes {
  void operator()(std::span<const f32> logits, std::span<i32> experts, std::span<f32> weights) const {
    for (std::size_t j = 0; j < experts.size(); ++j) {
      experts[j] = static_cast<i32>(logits.size() - 1 - j);
      weights[j] = 1.0f / static_cast<f32>(experts.size());
    }
  }
};

}  // namespace

TEST_CASE("the k most probable experts and their probabilities") {
  routes<Grid<1, 1>, P<>, P<>, false>();
  routes<Grid<2, 2>, P<data>, P<>, false>();
  routes<Grid<2, 2>, P<data, None, model>, P<model>, false>();
}
TEST_CASE("normalised: the weights of a token add up to one") {
  routes<Grid<1, 1>, P<>, P<>, true>();
  routes<Grid<2, 2>, P<data, None, model>, P<model>, true>();
}

TEST_CASE("weights of the router that lie with the batch are left there, or gathered: the routes are the same") {
  routes<Grid<2, 2>, P<data, None, model>, P<data>, false, nn::WeightStationary>();
  routes<Grid<2, 2>, P<data, None, model>, P<data>, false, nn::Gathered>();
  routes<Grid<4, 1>, P<data>, P<data>, true, nn::Gathered>();
}

TEST_CASE("equal probabilities go to the lower index, also far below the largest") {
  const std::vector<f32> logits = {-200, 5, -200, -200};  // exp underflows: three equal zeros
  std::vector<i32> experts(3);
  std::vector<f32> weights(3);
  nn::SoftmaxTopK<>{}(logits, experts, weights);
  CHECK(experts == std::vector<i32>{1, 0, 2});
  CHECK(weights == std::vector<f32>{1, 0, 0});
}

TEST_CASE("logits of any size give finite weights") {
  const std::vector<f32> logits = {3e38f, 0, -3e38f, 3e38f};
  std::vector<i32> experts(2);
  std::vector<f32> weights(2);
  nn::SoftmaxTopK<true>{}(logits, experts, weights);
  CHECK(experts == std::vector<i32>{0, 3});
  CHECK(weights == std::vector<f32>{0.5f, 0.5f});
}

TEST_CASE("a policy of one's own") {
  Host dev(1);
  using M = Grid<1, 1>;
  nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, P<>, Host>, LastOnes> router;
  load(dev, router.weight, {width, E}, random(2, width * E));
  const auto r = router(dev, tensor<ShardedTensor<f32, S, M, P<>, Host>>(dev, Extents<S>(1, 2), random(1, 2 * width)));
  CHECK(elements(r.experts) == std::vector<i32>{7, 6, 7, 6});
  CHECK(elements(r.weights) == std::vector<f32>{0.5f, 0.5f, 0.5f, 0.5f});
}
