// A mixture whose experts lie over mesh axes is the mixture on one device; what it moves is in the bill.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/moe_layer.hpp>

#include "support/expert_travels.hpp"

using namespace support;

namespace {

struct data;
struct expert;
struct model;
template <index_t D, index_t E, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<expert, E>, Axis<model, N>>;

constexpr index_t E = 8, k = 3, width = 32, hidden = 64;
using S = Shape<dyn, dyn, width>;
template <class M, class D, class Spec>
using Tokens = ShardedTensor<f32, S, M, Spec, D>;
template <class M, class D, class Spec, index_t... N>
using Linear = nn::Linear<ShardedTensor<packed<f32>, Shape<N...>, M, Spec, D>>;

/// Experts by columns and rows over Model, and whole experts over Over; the width over Rows.
template <class M, class D, class Over, class Model, class Rows = None, class Strategy = nn::WeightStationary>
using Mixture =
    nn::MoELayer<nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, P<>, D>>,
                 nn::GatedFeedForward<Linear<M, D, P<Over, Rows, Model>, E, width, hidden>,
                                      Linear<M, D, P<Over, Rows, Model>, E, width, hidden>,
                                      Linear<M, D, P<Over, Model, Rows>, E, hidden, width>, nn::Silu, Strategy>>;

/// The same with a bias [E, N] for every product.
template <class M, class D, class Spec, class BiasSpec, index_t K, index_t N>
using BiasedLinear =
    nn::Linear<ShardedTensor<packed<f32>, Shape<E, K, N>, M, Spec, D>, ShardedTensor<f32, Shape<E, N>, M, BiasSpec, D>>;
template <class M, class D, class Over, class Model, class Strategy = nn::WeightStationary>
using BiasedMixture =
    nn::MoELayer<nn::Router<ShardedTensor<packed<f32>, Shape<width, E>, M, P<>, D>>,
                 nn::GatedFeedForward<BiasedLinear<M, D, P<Over, None, Model>, P<Over, Model>, width, hidden>,
                                      BiasedLinear<M, D, P<Over, None, Model>, P<Over, Model>, width, hidden>,
                                      BiasedLinear<M, D, P<Over, Model>, P<Over>, hidden, width>, nn::Silu, Strategy>>;

template <class L>
void fill_bias(Host& dev, L& linear, index_t seed, index_t N) {
  if constexpr (requires { linear.bias.extents(); })
    linear.bias = tensor<decltype(linear.bias)>(dev, {}, random(seed, E * N));
}
template <class Layer>
Layer filled(Host& dev) {
  Layer layer;
  layer.router.selected = k;
  layer.expert_count = E;
  load(dev, layer.router.weight, {width, E}, random(5, width * E));
  load(dev, layer.experts.gate.weight, {E, width, hidden}, random(2, E * width * hidden, 0.2));
  load(dev, layer.experts.up.weight, {E, width, hidden}, random(3, E * width * hidden, 0.2));
  load(dev, layer.experts.down.weight, {E, hidden, width}, random(4, E * hidden * width, 0.2));
  fill_bias(dev, layer.experts.gate, 6, hidden);
  fill_bias(dev, layer.experts.up, 7, hidden);
  fill_bias(dev, layer.experts.down, 8, width);
  return layer;
}

struct Whole {
  std::vector<f32> y;
  Chosen chosen;
};
/// On one device: what comes out, and who was chosen.
template <class Layer = Mixture<Mesh<>, Host, None, None>>
Whole whole(index_t B, index_t T) {
  using M = Mesh<>;
  Host dev(2);
  const auto layer = filled<Layer>(dev);
  const auto x = tensor<Tokens<M, Host, P<>>>(dev, Extents<S>(B, T), random(1, B * T * width));
  const auto routes = layer.router(dev, x);
  return {elements(layer(dev, x)), {B, T, k, elements(routes.experts), elements(routes.weights)}};
}

/// The layer, its pending sums finished where x lies; `exact`: no route changes what is moved.
template <class M, class Spec, class Result, template <class> class Layer,
          class OnOne = Mixture<Mesh<>, Host, None, None>>
Cost check(index_t B, index_t T, f64 bound, bool exact) {
  CAPTURE(M::size);
  CAPTURE(T);
  Host dev(2);
  const auto layer = filled<Layer<Host>>(dev);
  const auto x = tensor<Tokens<M, Host, Spec>>(dev, Extents<S>(B, T), random(1, B * T * width));
  const auto y = layer(dev, x);
  static_assert(std::is_same_v<typename decltype(y)::spec, Result>);
  CHECK(error(elements(reshard<Spec>(dev, y)), whole<OnOne>(B, T).y) <= bound);

  Dry dry;
  Layer<Dry> dried;
  dried.router.selected = k;
  dried.expert_count = E;
  reshard<Spec>(dry, dried(dry, make<Tokens<M, Dry, Spec>>(dry, Extents<S>(B, T))));
  CHECK(dev.traffic().collectives == dry.cost.collectives);
  CHECK(dev.traffic().busiest_bytes <= dry.cost.bytes);
  if (exact) CHECK(dev.traffic().busiest_bytes == dry.cost.bytes);
  Cost moved = dry.cost;
  moved.bytes = dev.traffic().busiest_bytes;
  return moved;
}

template <class M>
struct Over {
  template <class D>
  using Expert = Mixture<M, D, expert, model>;
  template <class D>
  using Whole = Mixture<M, D, None, model>;
  template <class D>
  using Gathered = Mixture<M, D, expert, model, None, nn::Gathered>;
  template <class D>
  using Rows = Mixture<M, D, expert, model, data>;
  template <class D>
  using Both = Mixture<M, D, Axes<data, expert>, model>;
  template <class D>
  using Biased = BiasedMixture<M, D, expert, model>;
  template <class D>
  using BiasedGathered = BiasedMixture<M, D, expert, model, nn::Gathered>;
};

}  // namespace

TEST_CASE("tokens over the experts' axis travel: the numbers of one device, the bytes of the routes") {
  on_meshes([]<index_t D, index_t G, index_t N>() {
    using M = Grid<D, G, N>;
    using Batch = P<Axes<data, expert>, None, None>;
    for (const index_t T : {1, 5}) {
      using Result = P<Axes<data, expert>, None, None, Partial<model>>;
      const Cost moved = check<M, Batch, Result, Over<M>::template Expert>(8, T, 1e-6, G == 1);
      const Counted counted = count(whole(8, T).chosen, E, D, G, width, width);
      const index_t sum = received_elements(Collective::all_reduce, 8 * T * width / (D * G), N) * 4;  // over model
      CHECK(moved.bytes == counted.going + counted.coming + sum);
    }
  });
}

TEST_CASE("tokens that every device along the experts' axis has stay: one sum over experts and columns") {
  const auto on_mesh = []<index_t D, index_t G, index_t N>() {
    using M = Grid<D, G, N>;
    for (const index_t T : {1, 5})
      check<M, P<data, None, None>, P<data, None, None, Partial<expert, model>>, Over<M>::template Expert>(8, T, 1e-6,
                                                                                                           true);
  };
  on_mesh.operator()<1, 1, 1>();
  on_mesh.operator()<1, 8, 1>();
  on_mesh.operator()<2, 2, 2>();
}

TEST_CASE("experts that are gathered come to the tokens; nothing is left to the routes") {
  const auto on_mesh = []<index_t D, index_t G, index_t N>() {
    using M = Grid<D, G, N>;
    using Batch = P<Axes<data, expert>, None, None>;
    const Cost c = check<M, Batch, P<Axes<data, expert>, None, None, Partial<model>>, Over<M>::template Gathered>(
        8, 3, N == 1 ? 0 : 1e-6, true);
    for (const TransferLine& line : c.transfers) CHECK(line.kind != Collective::all_to_all);
    // Along an axis where the tokens are whole nothing is gathered.
    check<M, P<data, None, None>, P<data, None, None, Partial<expert, model>>, Over<M>::template Gathered>(8, 3, 1e-6,
                                                                                                           true);
  };
  on_mesh.operator()<1, 4, 1>();
  on_mesh.operator()<2, 2, 2>();
}

TEST_CASE("biases of experts go with them: they stay, are added once to a pending sum, or are gathered") {
  using M = Grid<2, 2, 2>;
  using Batch = P<Axes<data, expert>, None, None>;
  using Result = P<Axes<data, expert>, None, None, Partial<model>>;
  using OnOne = BiasedMixture<Mesh<>, Host, None, None>;
  check<M, Batch, Result, Over<M>::Biased, OnOne>(8, 3, 1e-6, false);
  check<M, Batch, Result, Over<M>::BiasedGathered, OnOne>(8, 3, 1e-6, true);
  check<M, P<data, None, None>, P<data, None, None, Partial<expert, model>>, Over<M>::Biased, OnOne>(8, 3, 1e-6, true);
}

TEST_CASE("experts over two axes of the batch, and a width over one of them") {
  using M = Grid<2, 2, 2>;
  using Batch = P<Axes<data, expert>, None, None>;
  check<M, Batch, P<Axes<data, expert>, None, None, Partial<model>>, Over<M>::Both>(8, 3, 1e-6, false);
  // Tokens leave `data`, whose devices hold parts of every expert's width, and travel along `expert`.
  check<M, Batch, P<expert, None, data, Partial<model>>, Over<M>::Rows>(8, 3, 1e-6, false);
}

TEST_CASE("experts that every device has need no axis to travel along") {
  using M = Grid<2, 2, 2>;
  check<M, P<Axes<data, expert>, None, None>, P<Axes<data, expert>, None, None, Partial<model>>, Over<M>::Whole>(
      8, 3, 1e-6, true);
}

TEST_CASE("routes with choices of no expert go the same way") {
  using M = Grid<1, 4, 2>;
  using Batch = P<Axes<data, expert>>;
  using Ids = ShardedTensor<i32, Shape<dyn, dyn, dyn>, M, Batch, Host>;
  using OneIds = ShardedTensor<i32, Shape<dyn, dyn, dyn>, Mesh<>, P<>, Host>;
  for (index_t seed = 0; seed < 10; ++seed) {
    const Chosen c = random_choices(E, 10 * seed, 4, 3, 1 + seed % E, 0, true);
    Host dev(2);
    const auto x = random(1, c.tokens() * width);
    const Extents<typename Ids::shape> extents(c.B, c.T, c.k);
    const auto y = filled<Over<M>::Expert<Host>>(dev).apply(
        dev, tensor<Tokens<M, Host, Batch>>(dev, Extents<S>(c.B, c.T), x),
        Routes<Ids, with_type<Ids, f32>>{tensor<Ids>(dev, extents, c.experts),
                                         tensor<with_type<Ids, f32>>(dev, extents, c.weights)});
    const auto truth = filled<Mixture<Mesh<>, Host, None, None>>(dev).apply(
        dev, tensor<Tokens<Mesh<>, Host, P<>>>(dev, Extents<S>(c.B, c.T), x),
        Routes<OneIds, with_type<OneIds, f32>>{tensor<OneIds>(dev, extents, c.experts),
                                               tensor<with_type<OneIds, f32>>(dev, extents, c.weights)});
    CHECK(error(elements(y), elements(truth)) < 1e-6);
  }
}
