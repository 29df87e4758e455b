// A mixture of experts, and the gated network that is each expert or a dense block, against f64.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include <tess/nn/moe_layer.hpp>

#include "support/tensors.hpp"

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

template <class M, class D, class Element, class Activation>
using Dense = nn::GatedFeedForward<Linear<M, D, Element, P<data, model>, width, hidden>,
                                   Linear<M, D, Element, P<data, model>, width, hidden>,
                                   Linear<M, D, Element, P<model, data>, hidden, width>, Activation>;
template <class M, class D, class Element, class Activation>
using Experts = nn::GatedFeedForward<Linear<M, D, Element, P<None, data, model>, X, width, hidden>,
                                     Linear<M, D, Element, P<None, data, model>, X, width, hidden>,
                                     Linear<M, D, Element, P<None, model, data>, X, hidden, width>, Activation>;
template <class M, class D, class Element, class Activation>
using Mixture = nn::MoELayer<nn::Router<ShardedTensor<packed<f32>, Shape<width, X>, M, P<data>, D>>,
                             Experts<M, D, Element, Activation>>;

f64 value(nn::GeluTanh, f64 x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
f64 value(nn::Silu, f64 x) { return x / (1 + std::exp(-x)); }
f64 value(nn::SquaredRelu, f64 x) { return x > 0 ? x * x : 0; }

struct Numbers {
  std::vector<f32> gate, up, down;

  /// One row through expert e (0 for a dense block).
  template <class Activation>
  std::vector<f64> apply(Activation act, const std::vector<f64>& x, index_t e) const {
    const auto part = [e](const std::vector<f32>& w) {
      return std::vector<f32>(w.begin() + e * width * hidden, w.begin() + (e + 1) * width * hidden);
    };
    auto h = product(x, part(gate), width, hidden);
    const auto u = product(x, part(up), width, hidden);
    for (std::size_t i = 0; i < h.size(); ++i) h[i] = value(act, h[i]) * u[i];
    return product(h, part(down), hidden, width);
  }
};

template <class Network>
Numbers fill(Host& dev, Network& f, std::vector<index_t> leading) {
  const index_t matrices = leading.empty() ? 1 : leading[0];
  const auto one = [&](auto& l, index_t seed, index_t in, index_t out) {
    auto shape = leading;
    shape.insert(shape.end(), {in, out});
    return load(dev, l.weight, shape, random(seed, matrices * in * out, 0.2));
  };
  return {one(f.gate, 2, width, hidden), one(f.up, 3, width, hidden), one(f.down, 4, hidden, width)};
}

std::vector<f64> row(const std::vector<f32>& x, index_t token) {
  return {x.begin() + token * width, x.begin() + (token + 1) * width};
}

template <class M, class Element, class Activation>
void dense_block(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  Dense<M, Host, Element, Activation> block;
  const Numbers n = fill(dev, block, {});
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, block(dev, tensor<Tokens<M, Host, P<data>>>(dev, Extents<S>(B, T), x))));
  std::vector<f64> truth;
  for (index_t token = 0; token < B * T; ++token)
    for (const f64 v : n.apply(Activation{}, row(x, token), 0)) truth.push_back(v);
  CHECK(error(y, truth) < bound);

  Dry dry;
  reduce(dry, Dense<M, Dry, Element, Activation>{}(dry, make<Tokens<M, Dry, P<data>>>(dry, Extents<S>(B, T))));
  check_traffic(dev, dry.cost);
}

template <class M, class Element, class Activation>
void mixture(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  Mixture<M, Host, Element, Activation> layer;
  layer.router.selected = k;
  layer.expert_count = X;
  const Numbers n = fill(dev, layer.experts, {X});
  const auto router = load(dev, layer.router.weight, {width, X}, random(5, width * X));
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, layer(dev, tensor<Tokens<M, Host, P<data>>>(dev, Extents<S>(B, T), x))));

  const auto logits = product(widened(x), router, width, X);
  std::vector<f64> truth(static_cast<std::size_t>(B * T * width));
  for (index_t token = 0; token < B * T; ++token) {
    const f64* l = logits.data() + token * X;
    std::vector<index_t> order(X);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) { return l[a] > l[b]; });
    f64 sum = 0;
    for (index_t e = 0; e < X; ++e) sum += std::exp(l[e]);
    for (index_t j = 0; j < k; ++j) {
      const index_t e = order[static_cast<std::size_t>(j)];
      const auto out = n.apply(Activation{}, row(x, token), e);
      for (index_t i = 0; i < width; ++i)
        truth[static_cast<std::size_t>(token * width + i)] += std::exp(l[e]) / sum * out[static_cast<std::size_t>(i)];
    }
  }
  CHECK(error(y, truth) < bound);

  Dry dry;
  Mixture<M, Dry, Element, Activation> dried;
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
  for (const f64 v : n.apply(nn::Silu{}, row(x, 0), 5)) truth.push_back(2 * v);
  for (const f64 v : n.apply(nn::Silu{}, row(x, 1), 0)) truth.push_back(-0.5 * v);
  CHECK(error(y, truth) < 1e-6);
}

TEST_CASE("parameters are named by what they are") {
  Mixture<Grid<1, 1>, Host, f32, nn::Silu> layer;
  std::vector<std::string> paths;
  layer.parameters(nn::Scope("layer"), [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); });
  CHECK(paths == std::vector<std::string>{"layer/experts/gate/w", "layer/experts/up/w", "layer/experts/down/w",
                                          "layer/router/w"});
}
