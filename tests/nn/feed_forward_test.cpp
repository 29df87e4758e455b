// Feed-forward networks with biases, with an activation of two numbers, without a gate: dense and of experts, in f64.
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

constexpr index_t B = 2, T = 5, width = 64, hidden = 96, E = 6, k = 2;
using S = Shape<dyn, dyn, width>;
template <class M, class D>
using Tokens = ShardedTensor<f32, S, M, P<data>, D>;

template <class M, class D, class Spec, class BiasSpec, index_t K, index_t N>
using Linear =
    nn::Linear<ShardedTensor<packed<f32>, Shape<K, N>, M, Spec, D>, ShardedTensor<f32, Shape<N>, M, BiasSpec, D>>;
template <class M, class D, class Spec, class BiasSpec, index_t K, index_t N>
using Grouped =
    nn::Linear<ShardedTensor<packed<f32>, Shape<E, K, N>, M, Spec, D>, ShardedTensor<f32, Shape<E, N>, M, BiasSpec, D>>;

template <class M, class D>
using Column = Linear<M, D, P<None, model>, P<model>, width, hidden>;
template <class M, class D>
using Row = Linear<M, D, P<model>, P<>, hidden, width>;
template <class M, class D>
using ExpertColumn = Grouped<M, D, P<None, None, model>, P<None, model>, width, hidden>;
template <class M, class D>
using ExpertRow = Grouped<M, D, P<None, model>, P<>, hidden, width>;

/// Weight and bias of one expert, or of the dense block, as numbers.
struct Affine {
  std::vector<f32> w, b;
  std::vector<f64> operator()(const std::vector<f64>& x, index_t e) const {
    const auto in = static_cast<index_t>(x.size()), out = in == width ? hidden : width;
    auto y = product(x, matrix(w, e, in, out), in, out);
    for (index_t n = 0; n < out; ++n)
      y[static_cast<std::size_t>(n)] += static_cast<f64>(b[static_cast<std::size_t>(e * out + n)]);
    return y;
  }
};
template <class L>
Affine fill(Host& dev, L& layer, index_t seed) {
  using W = decltype(layer.weight);
  using Bias = decltype(layer.bias);
  std::vector<index_t> shape;
  const auto extents = Extents<typename W::shape>{};
  for (const index_t n : extents.array()) shape.push_back(n);
  Affine a{load(dev, layer.weight, shape, random(seed, extents.size(), 0.2)), {}};
  a.b = random(seed + 10, Extents<typename Bias::shape>{}.size());
  layer.bias = tensor<Bias>(dev, {}, a.b);
  return a;
}

f64 clamped_swiglu(f64 gate, f64 up) {
  gate = std::min(gate, 1.0), up = std::clamp(up, -1.0, 1.0);
  return (up + 1) * gate / (1 + std::exp(-1.702 * gate));
}
std::vector<f64> relu_squared(std::vector<f64> h) {
  for (f64& v : h) v = v > 0 ? v * v : 0;
  return h;
}
std::vector<f64> clamped(std::vector<f64> gate, const std::vector<f64>& up) {
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = clamped_swiglu(gate[i], up[i]);
  return gate;
}

template <class M, class D>
using GatedBlock = nn::GatedFeedForward<Column<M, D>, Column<M, D>, Row<M, D>, nn::ClampedSwiGLU>;
template <class M, class D>
using GatedExperts = nn::GatedFeedForward<ExpertColumn<M, D>, ExpertColumn<M, D>, ExpertRow<M, D>, nn::ClampedSwiGLU>;
template <class M, class D>
using PlainBlock = nn::FeedForward<Column<M, D>, Row<M, D>, nn::SquaredRelu>;
template <class M, class D>
using PlainExperts = nn::FeedForward<ExpertColumn<M, D>, ExpertRow<M, D>, nn::SquaredRelu>;
template <class M, class D, class Experts>
using Mixture = nn::MoELayer<nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, P<>, D>, nn::TopKSoftmax,
                                        ShardedTensor<f32, Shape<E>, M, P<>, D>>,
                             Experts>;

/// The network of one token, by the formula; fills the layer on the way.
template <class Network>
auto formula(Host& dev, Network& f) {
  const Affine down = fill(dev, f.down, 4), up = fill(dev, f.up, 3);
  if constexpr (requires { f.gate; }) {
    f.activation.limit = 1;  // so that many numbers are clamped
    const Affine gate = fill(dev, f.gate, 2);
    return [=](const std::vector<f64>& x, index_t e) { return down(clamped(gate(x, e), up(x, e)), e); };
  } else {
    return [=](const std::vector<f64>& x, index_t e) { return down(relu_squared(up(x, e)), e); };
  }
}

template <class M, template <class, class> class Network>
void dense() {
  CAPTURE(M::size);
  Host dev(2);
  Network<M, Host> block;
  const auto truth_of = formula(dev, block);
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, block(dev, tensor<Tokens<M, Host>>(dev, Extents<S>(B, T), x))));
  std::vector<f64> truth;
  for (index_t token = 0; token < B * T; ++token)
    for (const f64 v : truth_of(row(x, token, width), 0)) truth.push_back(v);
  CHECK(error(y, truth) < 1e-6);

  Dry dry;
  reduce(dry, Network<M, Dry>{}(dry, make<Tokens<M, Dry>>(dry, Extents<S>(B, T))));
  check_traffic(dev, dry.cost);
}

template <class M, template <class, class> class Network>
void experts() {
  CAPTURE(M::size);
  Host dev(2);
  Mixture<M, Host, Network<M, Host>> layer;
  const auto truth_of = formula(dev, layer.experts);
  const auto router = load(dev, layer.router.weight, {width, E}, random(5, width * E));
  const auto bias = random(6, E, 4);
  layer.router.bias = tensor<decltype(layer.router.bias)>(dev, {}, bias);
  const auto x = random(1, B * T * width);
  const auto y = elements(reduce(dev, layer(dev, tensor<Tokens<M, Host>>(dev, Extents<S>(B, T), x))));
  auto logits = product(widened(x), router, width, E);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += static_cast<f64>(bias[i % E]);
  const Choices c = most_probable(logits, E, k, true);
  CHECK(error(y, weighted_sum(x, width, c.experts, c.weights, k, truth_of)) < 1e-6);

  Dry dry;
  reduce(dry, Mixture<M, Dry, Network<M, Dry>>{}(dry, make<Tokens<M, Dry>>(dry, Extents<S>(B, T))));
  check_traffic(dev, dry.cost);
}

}  // namespace

TEST_CASE("clamped SwiGLU with biases: that of the pending sum is added once") {
  dense<Grid<1, 1>, GatedBlock>();
  dense<Grid<2, 1>, GatedBlock>();
  dense<Grid<1, 4>, GatedBlock>();
  dense<Grid<2, 2>, GatedBlock>();
}
TEST_CASE("experts with clamped SwiGLU and biases, behind a router with a bias") {
  experts<Grid<1, 1>, GatedExperts>();
  experts<Grid<1, 4>, GatedExperts>();
  experts<Grid<2, 2>, GatedExperts>();
}
TEST_CASE("no gate: squared ReLU, dense and of experts") {
  dense<Grid<1, 1>, PlainBlock>();
  dense<Grid<2, 2>, PlainBlock>();
  experts<Grid<1, 1>, PlainExperts>();
  experts<Grid<2, 2>, PlainExperts>();
}

TEST_CASE("parameters by their names") {
  std::vector<std::string> paths;
  const auto note = [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); };
  PlainBlock<Grid<1, 1>, Host>{}.parameters(nn::Scope("f"), note);
  Mixture<Grid<1, 1>, Host, PlainExperts<Grid<1, 1>, Host>> mixture;
  mixture.router.parameters(nn::Scope("router"), note);
  CHECK(paths == std::vector<std::string>{"f/up/w", "f/up/b", "f/down/w", "f/down/b", "router/w", "router/b"});
}
