// A projection of one's own: what `project` needs of it, and what layers such as MultiHeadAttention do with it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include <tess/nn/linear.hpp>
#include <tess/nn/rms_norm.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

// [quote:normed]
/// A projection whose finished columns, those of all heads together, are normalised: queries and keys of OLMoE.
template <class Projection, class Norm>
struct Normed : Projection {
  Norm norm{};

  template <class D, class Y>
  constexpr auto biased(D& dev, const Y& y) const {
    return norm(dev, Projection::biased(dev, y));
  }
  template <class F>
  constexpr void parameters(const nn::Scope& scope, F&& f) {
    Projection::parameters(scope, f), norm.parameters(scope / "norm", f);
  }
};
// [/quote]

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 2, T = 3, K = 64, N = 32;

template <class M, class D>
using Layer = Normed<nn::Linear<ShardedTensor<packed<f32>, Shape<K, N>, M, P<None, model>, D>>,
                     nn::RMSNorm<ShardedTensor<f32, Shape<N>, M, P<model>, D>>>;

/// The root mean square of a row is over columns of all devices: one number a row crosses them.
template <class M>
void projects(f64 bound) {
  CAPTURE(M::size);
  using X = ShardedTensor<f32, Shape<dyn, dyn, K>, M, P<data>, Host>;
  using Out = P<data, None, model>;
  Host dev(2);
  Layer<M, Host> layer;
  const auto w = load(dev, layer.weight, {K, N}, random(2, K * N));
  const auto scale = random(3, N), x = random(1, B * T * K);
  layer.norm.scale = tensor<decltype(layer.norm.scale)>(dev, {}, scale);
  auto truth = product(widened(x), w, K, N);
  for (std::size_t row = 0; row < truth.size(); row += N) {
    f64 squares = 0;
    for (std::size_t i = 0; i < N; ++i) squares += truth[row + i] * truth[row + i];
    const f64 root = std::sqrt(squares / N + static_cast<f64>(layer.norm.eps));
    for (std::size_t i = 0; i < N; ++i) truth[row + i] *= static_cast<f64>(scale[i]) / root;
  }
  CHECK(error(elements(nn::project<Out>(dev, layer, tensor<X>(dev, Extents<typename X::shape>(B, T), x))), truth) <
        bound);

  Dry dry;
  nn::project<Out>(dry, Layer<M, Dry>{},
                   make<ShardedTensor<f32, typename X::shape, M, P<data>>>(dry, Extents<typename X::shape>(B, T)));
  CHECK(dry.cost.collectives == (M::template size_along<model> > 1 ? 1 : 0));
  check_traffic(dev, dry.cost);
}

}  // namespace

TEST_CASE("a projection that normalises its columns: the same numbers on every mesh") {
  projects<Grid<1, 1>>(1e-6);
  projects<Grid<1, 4>>(1e-6);
  projects<Grid<2, 2>>(1e-6);
}

TEST_CASE("a projection that normalises its columns: its parameters beside those of the projection") {
  Layer<Grid<1, 1>, Dry> layer;
  std::string paths;
  layer.parameters(nn::Scope("query"), [&](const nn::Scope& path, auto&) { paths += path.path() + " "; });
  CHECK(paths == "query/w query/norm/scale ");
}
