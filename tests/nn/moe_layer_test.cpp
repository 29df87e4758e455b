// A mixture of experts, and the gated network that is each expert or a dense block, against f64.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/moe_layer.hpp>

#include "support/experts.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 2, T = 5, width = 64, hidden = 96, X = 6, k = 2;
using S = Shape<dyn, dyn, width>;

template <class M, class D, class Spec>
using Tokens = ShardedTensor<f32, S, M, Spec, D>;
template <class M, class D, class Element, class Spec, index_t... N>
using Linear = nn::Linear<ShardedTensor<packed<Element>, Shape<N...>, M, Spec, D>>;

template <class M, class D, class Element, class Activation, class Strategy = nn::WeightStationary>
using Dense = nn::GatedFeedForward<Linear<M, D, Element, P<data, model>, width, hidden>,
                                   Linear<M, D, Element, P<data, model>, width, hidden>,
                                   Linear<M, D, Element, P<model, data>, hidden, width>, Activation, Strategy>;
template <class M, class D, class Element, class Activation>
using Experts = nn::GatedFeedForward<Linear<M, D, Element, P<None, data, model>, X, width, hidden>,
                                     Linear<M, D, Element, P<None, data, model>, X, width, hidden>,
                                     Linear<M, D, Element, P<None, model, data>, X, hidden, width>, Activation>;
template <class M, class D, class Element, class Activation, class Strategy = nn::WeightStationary>
using Mixture = nn::MoELayer<nn::Router<ShardedTensor<packed<f32>, Shape<width, X>, M, P<data>, D>>,
                             Experts<M, D, Element, Activation>, Strategy>;

f64 value(nn::GeluTanh, f64 x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
f64 value(nn::Silu, f64 x) { return x / (1 + std::exp(-x)); }
f64 value(nn::SquaredRelu, f64 x) { return x > 0 ? x * x : 0; }

struct Numbers {
  std::vector<f32> gate, up, down;

  /// One row through expert e (0 for a dense block).
  template <class Activation>
  std::vector<f64> apply(Activation act, const std::vector<f64>& x, index_t e) const {
    auto h = product(x, matrix(gate, e, width, hidden), width, hidden);
    const auto u = product(x, matrix(up, e, width, hidden), width, hidden);
    for (std::size_t i = 0; i < h.size(); ++i) h[i] = value(act, h[i]) * u[i];
    return product(h, matrix(down, e, hidden, width), hidden, width);
  }
};

template <class Network>
Numbers fill(Host& dev, Network& f, std::vector<index_t> leading) {
  const index_t matrices = leading.empty() ? 1 : leading[0];
  const auto one = [&](auto& l, index_t seed, index_t in, index_t out) {
    auto shape = leading;
    shape.insert(shape.end(), {in, out});
    using E = unpacked_t<typename std::remove_reference_t<decltype(l.weight)>::value_type>;
    return load(dev, l.weight, shape, random(seed, matrices * in * out, 0.2), scale_groups<E>);
  };
  return {one(f.gate, 2, width, hidden), one(f.up, 3, width, hidden), one(f.down, 4, hidden, width)};
}

template <class M, class Element, class Activation, class Strategy = nn::WeightStationary>
void dense_block(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  Dense<M, Host, Element, Activation, Strategy> block;
  const Numbers n = fill(dev, block, {});
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, block(dev, tensor<Tokens<M, Host, P<data>>>(dev, Extents<S>(B, T), x))));
  std::vector<f64> truth;
  for (index_t token = 0; token < B * T; ++token)
    for (const f64 v : n.apply(Activation{}, row(x, token, width), 0)) truth.push_back(v);
  CHECK(error(y, truth) < bound);

  Dry dry;
  reduce(dry,
         Dense<M, Dry, Element, Activation, Strategy>{}(dry, make<Tokens<M, Dry, P<data>>>(dry, Extents<S>(B, T))));
  check_traffic(dev, dry.cost);
}

template <class M, class Element, class Activation, class Strategy = nn::WeightStationary>
void mixture(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  Mixture<M, Host, Element, Activation, Strategy> layer;
  layer.router.selected = k;
  layer.expert_count = X;
  const Numbers n = fill(dev, layer.experts, {X});
  const auto router = load(dev, layer.router.weight, {width, X}, random(5, width * X));
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, layer(dev, tensor<Tokens<M, Host, P<data>>>(dev, Extents<S>(B, T), x))));

  const Choices choices = most_probable(product(widened(x), router, width, X), X, k);
  const auto truth = weighted_sum(x, width, choices.experts, choices.weights, k,
                                  [&](const auto& token, index_t e) { return n.apply(Activation{}, token, e); });
  CHECK(error(y, truth) < bound);

  Dry dry;
  Mixture<M, Dry, Element, Activation, Strategy> dried;
  dried.router.selected = k;
  dried.expert_count = X;
  reduce(dry, dried(dry, make<Tokens<M, Dry, P<data>>>(dry, Extents<S>(B, T))));
  check_traffic(dev, dry.cost);
}

}  // namespace

TEST_CASE("a dense block with each activation") {
  dense_block<Grid<1, 1>, f32, nn::GeluTanh>(1e-6);
  dense_block<Grid<2, 2>, f32, nn::GeluTanh>(1e-6);
  dense_block<Grid<2, 2>, f32, nn::Silu>(1e-6);
  dense_block<Grid<1, 1>, f32, nn::SquaredRelu>(1e-6);
  dense_block<Grid<2, 2>, q8<1>, nn::Silu>(1.5e-4);
}

TEST_CASE("a mixture is the weighted sum of the routed experts, with the experts' sum finished once") {
  mixture<Grid<1, 1>, f32, nn::GeluTanh>(1e-6);
  mixture<Grid<2, 2>, f32, nn::GeluTanh>(1e-6);
  mixture<Grid<1, 1>, q8<1>, nn::Silu>(1.5e-4);
  mixture<Grid<2, 2>, q8<1>, nn::Silu>(1.5e-4);
}

TEST_CASE("weights gathered for every product, or left where they lie: the same numbers, each at its price") {
  dense_block<Grid<2, 1>, f32, nn::Silu, nn::Gathered>(1e-6);
  dense_block<Grid<2, 2>, bf16, nn::Silu, nn::Gathered>(1e-5);
  dense_block<Grid<2, 2>, q8<1>, nn::Silu, nn::Gathered>(1.5e-4);
  mixture<Grid<2, 1>, f32, nn::GeluTanh, nn::Gathered>(1e-6);
  mixture<Grid<2, 2>, bf16, nn::GeluTanh, nn::Gathered>(1e-5);
  mixture<Grid<2, 4>, q8<1>, nn::Silu, nn::Gathered>(1.5e-4);
  mixture<Grid<2, 2>, q8<8>, nn::Silu, nn::Gathered>(1.5e-4);
  dense_block<Grid<2, 1>, f32, nn::Silu, nn::WeightStationary>(1e-6);
  mixture<Grid<2, 4>, q8<1>, nn::Silu, nn::WeightStationary>(1.5e-4);
  mixture<Grid<2, 2>, q8<8>, nn::Silu, nn::WeightStationary>(1.5e-4);
}

TEST_CASE("given routes are followed") {
  Host dev(1);
  using M = Grid<1, 1>;
  Mixture<M, Host, f32, nn::Silu> layer;
  layer.expert_count = X;
  const Numbers n = fill(dev, layer.experts, {X});
  const auto x = random(1, 2 * width);
  using Ids = ShardedTensor<i32, Shape<1, 2, 1>, M, P<>, Host>;  // where the experts want their tokens
  const Routes<Ids, with_type<Ids, f32>> routes{tensor<Ids>(dev, {}, std::vector<i32>{5, 0}),
                                                tensor<with_type<Ids, f32>>(dev, {}, std::vector<f32>{2, -0.5f})};
  const auto y =
      elements(reduce(dev, layer.apply(dev, tensor<Tokens<M, Host, P<data>>>(dev, Extents<S>(1, 2), x), routes)));
  std::vector<f64> truth;
  for (const f64 v : n.apply(nn::Silu{}, row(x, 0, width), 5)) truth.push_back(2 * v);
  for (const f64 v : n.apply(nn::Silu{}, row(x, 1, width), 0)) truth.push_back(-0.5 * v);
  CHECK(error(y, truth) < 1e-6);
}

TEST_CASE("parameters are named by what they are") {
  Mixture<Grid<1, 1>, Host, f32, nn::Silu> layer;
  std::vector<std::string> paths;
  layer.parameters(nn::Scope("layer"), [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); });
  CHECK(paths == std::vector<std::string>{"layer/experts/gate/w", "layer/experts/up/w", "layer/experts/down/w",
                                          "layer/router/w"});
}
