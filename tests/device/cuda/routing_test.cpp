// Routing on the GPU: every policy's choices, rows in the order of experts, and sums by token, against Host.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/routing_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/nn/router.hpp>
#include <tess/nn/router_capacity.hpp>
#include <tess/ops/experts.hpp>

#include "support/both_devices.hpp"
#include "support/expert_travels.hpp"

using namespace support;

namespace {

struct Gpus : cuda::Base, cuda::RoutingVerbs<Gpus>, cuda::ElementVerbs<Gpus>, cuda::ExchangeVerbs<Gpus> {
  using Base::Base;
};

struct data;
struct model;
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;
using Cube = Shape<dyn, dyn, dyn>;
template <class T, class M, class Spec>
using Tokens = ShardedTensor<T, Cube, M, Spec, Host>;
template <class M>
using Row = ShardedTensor<f32, Shape<dyn>, M, P<>, Host>;

constexpr f64 f32_sums = 2e-6;

struct Fixture {
  Gpus device{cuda::Options{}};
  BothDevices<Gpus> both{device};

  /// Logits with ties: multiples of 1/4.
  template <class M, class Spec>
  auto logits(index_t B, index_t T, index_t E) {
    std::vector<f32> values = random(3, B * T * E, 3);
    for (f32& v : values) v = std::round(v * 4) / 4;
    return both.template tensor<Tokens<f32, M, Spec>>(Extents<Cube>(B, T, E), values);
  }
  /// The same experts, and weights that differ in the order of sums alone.
  template <class M, class Spec, class Choose>
  void routes_alike(Choose choose, index_t B, index_t T, index_t E, index_t k) {
    CAPTURE(B);
    CAPTURE(T);
    CAPTURE(E);
    CAPTURE(k);
    const auto scores = logits<M, Spec>(B, T, E);
    alike(route(device, scores.device, k, choose), route(both.host, scores.host, k, choose));
    if constexpr (requires(std::span<const f32> row, std::span<i32> ids, std::span<f32> w) {
                    choose(row, row, ids, w);
                  }) {
      const auto given = both.template random<Row<M>>(7, Extents<Shape<dyn>>{E});
      alike(route(device, scores.device, given.device, k, choose),
            route(both.host, scores.host, given.host, k, choose));
    }
  }
  template <class Found, class Truth>
  void alike(const Found& found, const Truth& truth) {
    both.check_same(0, found.experts, truth.experts);
    both.check_same(f32_sums, found.weights, truth.weights);
  }

  template <class M, class Spec>
  auto routes(const Chosen& c) {
    const Extents<Cube> extents(c.B, c.T, c.k);
    const auto ids = both.template tensor<Tokens<i32, M, Spec>>(extents, c.experts);
    const auto weights = both.template tensor<Tokens<f32, M, Spec>>(extents, c.weights);
    return std::pair(Routes{ids.device, weights.device}, Routes{ids.host, weights.host});
  }
};

struct Twice {
  constexpr f32 operator()(f32 v) const { return 2 * v; }
};
struct Product {
  constexpr f32 operator()(f32 a, f32 b) const { return a * b; }
};

/// Dispatch, everything that acts on rows, and combine.
template <class M, class T, class Spec, class RouteSpec, class BiasSpec>
void through_experts(const Chosen& chosen, index_t E, index_t width) {
  CAPTURE(E);
  CAPTURE(width);
  CAPTURE(chosen.tokens());
  Fixture f;
  const auto x = f.both.template random<Tokens<T, M, Spec>>(1, Extents<Cube>(chosen.B, chosen.T, width));
  const auto bias = f.both.template random<ShardedTensor<f32, Shape<dyn, dyn>, M, BiasSpec, Host>>(
      2, Extents<Shape<dyn, dyn>>(E, width));
  const auto [here, there] = f.routes<M, RouteSpec>(chosen);
  const auto grouped = dispatch(f.device, x.device, here, E);
  const auto truth = dispatch(f.both.host, x.host, there, E);
  CHECK(f.both.elements(grouped.offsets) == elements(truth.offsets));
  CHECK(f.both.elements(grouped.positions) == elements(truth.positions));
  const auto network = [E = E](auto& dev, const auto& rows, const auto& b, const auto& r) {
    const auto doubled = map<f32>(dev, Twice{}, rows);
    return combine(dev, map<f32>(dev, Product{}, add_bias(dev, doubled, b), doubled), r);
  };
  f.both.check_same(f32_sums, network(f.device, grouped, bias.device, here),
                    network(f.both.host, truth, bias.host, there));
}

}  // namespace

TEST_CASE("softmax and top-k by a warp: few and many experts, ties, every k") {
  Fixture f;
  for (const auto& [E, k] :
       {std::pair<index_t, index_t>{1, 1}, {2, 1}, {8, 2}, {31, 4}, {32, 32}, {33, 3}, {60, 4}, {256, 8}}) {
    f.routes_alike<One, P<>>(nn::SoftmaxTopK<>{}, 2, 5, E, k);
    f.routes_alike<One, P<>>(nn::SoftmaxTopK<true>{}, 2, 5, E, k);
    f.routes_alike<One, P<>>(nn::TopKSoftmax{}, 1, 3, E, k);
  }
  f.routes_alike<One, P<>>(nn::SoftmaxTopK<>{}, 1, 2, 300, 5);  // a thread a token
  f.routes_alike<Grid, P<data>>(nn::SoftmaxTopK<>{}, 2, 5, 8, 2);
  f.routes_alike<One, P<>>(nn::SoftmaxTopK<>{}, 1, 0, 8, 2);
}

TEST_CASE("sigmoids in groups, with and without a correction") {
  Fixture f;
  f.routes_alike<One, P<>>(nn::GroupedSigmoidTopK{}, 2, 3, 8, 2);
  f.routes_alike<One, P<>>(nn::GroupedSigmoidTopK{.groups = 4, .kept_groups = 2, .scale = 2.5f}, 2, 33, 16, 3);
  f.routes_alike<Grid, P<data>>(nn::GroupedSigmoidTopK{.groups = 3, .kept_groups = 2, .normalize = false}, 2, 3, 9, 6);
}

TEST_CASE("policies that see all tokens of a row: capacities, random second choices, experts that choose") {
  Fixture f;
  f.routes_alike<One, P<>>(nn::Switch{}, 3, 12, 5, 1);
  f.routes_alike<Grid, P<data>>(nn::GShard{.random_second = true, .seed = 4}, 4, 9, 6, 2);
  f.routes_alike<One, P<>>(nn::WithCapacity<nn::GroupedSigmoidTopK>{.factor = 0.5}, 2, 7, 70, 3);
  f.routes_alike<One, P<>>(nn::ExpertChoice{}, 2, 11, 6, 2);
  f.routes_alike<Grid, P<data>>(nn::ExpertChoice{.factor = 0.3}, 2, 11, 6, 2);
}

TEST_CASE("rows go to their experts and back: whole and sharded, with dropped choices, any width") {
  for (const index_t width : {1, 6, 32}) {
    through_experts<One, f32, P<>, P<>, P<>>(random_choices(6, 1, 2, 5, 3), 6, width);
    through_experts<One, f32, P<>, P<>, P<>>(random_choices(6, 2, 1, 7, 2, 0, true), 6, width);
  }
  through_experts<One, bf16, P<>, P<>, P<>>(random_choices(4, 3, 1, 3, 2), 4, 12);
  through_experts<Grid, f32, P<data, None, model>, P<data>, P<None, model>>(random_choices(6, 4, 2, 5, 3, 0, true), 6,
                                                                            8);
  through_experts<Grid, f32, P<data>, P<data>, P<>>(random_choices(300, 5, 2, 4, 5, 0, true), 300,
                                                    4);  // more than rows
  through_experts<One, f32, P<>, P<>, P<>>(random_choices(3, 6, 1, 0, 2), 3, 4);
  through_experts<One, f32, P<>, P<>, P<>>(random_choices(3, 6, 1, 1, 1), 3, 4);
}

TEST_CASE("many choices are numbered by several blocks") {
  through_experts<One, f32, P<>, P<>, P<>>(random_choices(5, 7, 1, 700, 2, 0, true), 5, 4);
  through_experts<One, f32, P<>, P<>, P<>>(random_choices(40, 8, 2, 512, 2), 40, 3);
  through_experts<One, f32, P<>, P<>, P<>>(random_choices(600, 9, 1, 1025, 3, 0, true), 600, 1);
  through_experts<Grid, f32, P<data>, P<data>, P<>>(random_choices(6, 10, 2, 600, 2, 2), 6, 5);  // most experts empty
}

TEST_CASE("a choice outside the model is an error when the host next waits, whatever numbers the rows") {
  for (const index_t T : {2, 1200})
    for (const i32 wrong : {6, -2}) {
      Fixture f;
      Chosen chosen = random_choices(6, 1, 1, T, 2);
      chosen.experts.back() = wrong;
      const auto x = f.both.random<Tokens<f32, One, P<>>>(1, Extents<Cube>(1, T, 4));
      const auto [here, there] = f.routes<One, P<>>(chosen);
      const auto grouped = dispatch(f.device, x.device, here, 6);
      (void)combine(f.device, grouped, here);
      CHECK_THROWS_WITH_AS(f.device.wait(), doctest::Contains("but 6 are declared (MoELayer's expert_count)"), Error);
    }
}

TEST_CASE("rows behind the last expert's are not written") {
  Fixture f;
  const auto [here, there] = f.routes<One, P<>>({1, 2, 2, {1, no_expert, no_expert, 0}});
  const auto x = f.both.random<Tokens<f32, One, P<>>>(1, Extents<Cube>(1, 2, 4));
  const auto grouped = dispatch(f.device, x.device, here, 2);
  const auto untouched = f.both.tensor<ShardedTensor<f32, Shape<dyn, dyn>, One, P<>, Host>>(
      Extents<Shape<dyn, dyn>>(4, 4), std::vector<f32>(16, 7.0f));
  auto y = untouched.device;
  f.device.map_grouped(Twice{}, y, grouped.offsets, grouped.rows);
  const auto found = f.both.elements(y);
  for (std::size_t i = 8; i < 16; ++i) CHECK(found[i] == 7);
  for (std::size_t i = 0; i < 8; ++i) CHECK(found[i] != 7);
}
