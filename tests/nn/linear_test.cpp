// Linear: x · w + b for weights of every type; `project` brings x to the weight and the product to where it is wanted.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/linear.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 2, T = 3, K = 64, N = 32;
using S = Shape<dyn, dyn, K>;

template <class M, class D, class E, class WeightSpec, class BiasSpec>
using Layer =
    nn::Linear<ShardedTensor<packed<E>, Shape<K, N>, M, WeightSpec, D>, ShardedTensor<f32, Shape<N>, M, BiasSpec, D>>;

template <class M, class E, class Spec, class WeightSpec, class BiasSpec, class Out, class How = nn::WeightStationary>
void projects(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  Layer<M, Host, E, WeightSpec, BiasSpec> layer;
  const auto w = load(dev, layer.weight, {K, N}, random(2, K * N), scale_groups<E>);
  const auto bias = random(3, N), x = random(1, B * T * K);
  layer.bias = tensor<decltype(layer.bias)>(dev, {}, bias);
  auto truth = product(widened(x), w, K, N);
  for (std::size_t i = 0; i < truth.size(); ++i) truth[i] += static_cast<f64>(bias[i % N]);

  const auto y =
      nn::project<Out>(dev, layer, tensor<ShardedTensor<f32, S, M, Spec, Host>>(dev, Extents<S>(B, T), x), How{});
  CHECK(error(elements(y), truth) < bound);

  Dry dry;
  nn::project<Out>(dry, Layer<M, Dry, E, WeightSpec, BiasSpec>{},
                   make<ShardedTensor<f32, S, M, Spec>>(dry, Extents<S>(B, T)), How{});
  check_traffic(dev, dry.cost);
}

template <class E>
void on_every_mesh(f64 bound) {
  projects<Grid<1, 1>, E, P<>, P<>, P<>, P<>>(bound);
  projects<Grid<2, 2>, E, P<data>, P<None, model>, P<model>, P<data, None, model>>(bound);  // nothing moves
  projects<Grid<2, 2>, E, P<data>, P<data, model>, P<>, P<data>>(bound);                    // 2-D weight, whole result
  projects<Grid<2, 2>, E, P<data, None, model>, P<model, data>, P<data>, P<None, None, data>>(bound);
}

/// Weights as the rules of FSDP and of Grok-1 shard them, gathered for the product.
template <class E>
void gathered_on_every_mesh(f64 bound) {
  using How = nn::Gathered;
  projects<Grid<1, 1>, E, P<>, P<>, P<>, P<>, How>(bound);
  projects<Grid<2, 1>, E, P<data>, P<data>, P<>, P<data>, How>(bound);
  projects<Grid<2, 2>, E, P<data, None, model>, P<data, model>, P<model>, P<data, None, model>, How>(bound);
  projects<Grid<2, 4>, E, P<data, None, model>, P<model, data>, P<>, P<data>, How>(bound);
  projects<Grid<2, 2>, E, P<data>, P<Axes<model, data>>, P<>, P<data>, How>(bound);
  projects<Grid<2, 2>, E, P<data>, P<Axes<data, model>>, P<>, P<data>, How>(bound);  // the minor axis goes too
}

}  // namespace

TEST_CASE("f32 weights with a bias") { on_every_mesh<f32>(1e-6); }
TEST_CASE("bf16 weights with a bias") { on_every_mesh<bf16>(1e-5); }
TEST_CASE("int8 weights with a bias") { on_every_mesh<q8<1>>(1e-4); }
TEST_CASE("gathered weights of every type") {
  gathered_on_every_mesh<f32>(1e-6);
  gathered_on_every_mesh<bf16>(1e-5);
  gathered_on_every_mesh<q8<1>>(1e-4);
  gathered_on_every_mesh<q8<8>>(1e-4);  // groups in a shard, shards in a group
  gathered_on_every_mesh<q8<4>>(1e-4);
}

TEST_CASE("the bias of a pending product is added once, and no byte moves before the sum is finished") {
  const auto check = [](auto mesh, auto spec, auto weight_spec, auto bias_spec) {
    using M = decltype(mesh);
    CAPTURE(M::size);
    Host dev(2);
    Layer<M, Host, f32, decltype(weight_spec), decltype(bias_spec)> layer;
    const auto w = load(dev, layer.weight, {K, N}, random(2, K * N));
    const auto bias = random(3, N), x = random(1, B * T * K);
    layer.bias = tensor<decltype(layer.bias)>(dev, {}, bias);
    auto truth = product(widened(x), w, K, N);
    for (std::size_t i = 0; i < truth.size(); ++i) truth[i] += static_cast<f64>(bias[i % N]);
    const auto y = layer(dev, tensor<ShardedTensor<f32, S, M, decltype(spec), Host>>(dev, Extents<S>(B, T), x));
    CHECK(decltype(y)::sharding.partial != 0);
    CHECK(dev.traffic().collectives == 0);
    CHECK(error(elements(y), truth) < 1e-6);
    CHECK(error(elements(reduce(dev, y)), truth) < 1e-6);
  };
  check(Grid<1, 4>{}, P<None, None, model>{}, P<model>{}, P<>{});
  check(Grid<2, 2>{}, P<data, None, model>{}, P<model>{}, P<None>{});
  check(Grid<2, 4>{}, P<None, None, model>{}, P<model, data>{}, P<data>{});  // columns over another axis
  check(Grid<2, 4>{}, P<None, None, model>{}, P<model, data>{}, P<>{});      // … of which the bias is whole
}

TEST_CASE("a layer without a bias is the product, and names one parameter; with one, two") {
  Host dev(1);
  using M = Grid<1, 1>;
  nn::Linear<ShardedTensor<packed<f32>, Shape<K, N>, M, P<>, Host>> plain;
  load(dev, plain.weight, {K, N}, random(2, K * N));
  const auto x = tensor<ShardedTensor<f32, S, M, P<>, Host>>(dev, Extents<S>(B, T), random(1, B * T * K));
  CHECK(elements(plain(dev, x)) == elements(matmul(dev, x, plain.weight)));

  std::vector<std::string> paths;
  const auto note = [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); };
  plain.parameters(nn::Scope("plain"), note);
  Layer<M, Host, f32, P<>, P<>>{}.parameters(nn::Scope("biased"), note);
  CHECK(paths == std::vector<std::string>{"plain/w", "biased/w", "biased/b"});
}
