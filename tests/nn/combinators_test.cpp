// Sequential, Residual and Repeat: what they make of their parts.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/combinators.hpp>
#include <tess/nn/feed_forward.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
constexpr index_t width = 16;
using S = Shape<dyn, width>;
template <class Spec, class D = Host>
using X = ShardedTensor<f32, S, M, Spec, D>;

/// x -> factor · x + added.
struct Affine {
  f32 factor = 1, added = 0;
  template <class D, class T>
  constexpr auto operator()(D& dev, const T& x) const {
    return map<f32>(
        dev, [f = factor, a = added](f32 v) { return f * v + a; }, x);
  }
  template <class F>
  void parameters(const nn::Scope& scope, F&& f) {
    f(scope / "affine", *this);
  }
};

/// Adds what its state holds, and counts in it.
struct Counting {
  template <class D, class T>
  T operator()(D& dev, const T& x, index_t& state, f32 more) const {
    return Affine{1, static_cast<f32>(++state) + more}(dev, x);
  }
  template <class F>
  void parameters(const nn::Scope& scope, F&& f) {
    f(scope, *this);
  }
};

template <class Layer>
std::vector<std::string> names(Layer& layer, const char* scope) {
  std::vector<std::string> paths;
  layer.parameters(nn::Scope(scope), [&](const nn::Scope& s, auto&) { paths.push_back(s.path()); });
  return paths;
}

const std::vector<f32> values = random(1, 4 * width);
template <class Spec>
X<Spec> input(Host& dev) {
  return tensor<X<Spec>>(dev, Extents<S>(4), values);
}
std::vector<f32> mapped(f32 factor, f32 added) {
  auto v = values;
  for (f32& x : v) x = factor * x + added;
  return v;
}

}  // namespace

TEST_CASE("Sequential applies its layers in order; Reshard is the one that moves") {
  Host dev(1);
  nn::Sequential<Affine, nn::Reshard<P<None, data>>, Affine> layers{{{2, 0}, {}, {1, 3}}};
  const auto y = layers(dev, input<P<data>>(dev));
  CHECK(std::is_same_v<decltype(y)::spec, P<None, data>>);
  CHECK(elements(y) == mapped(2, 3));
  CHECK(dev.traffic().collectives == 1);
  CHECK(names(layers, "s") == std::vector<std::string>{"s/0/affine", "s/2/affine"});
}

TEST_CASE("Residual adds a layer's result to its input, where the input lies") {
  Host dev(1);
  nn::Residual<nn::Sequential<Affine, nn::Reshard<P<None, data>>>> layer{{{{2, 1}, {}}}};
  const auto y = layer(dev, input<P<data, model>>(dev));
  CHECK(std::is_same_v<decltype(y)::spec, P<data, model>>);
  CHECK(error(elements(y), mapped(3, 1)) < 1e-7);
}

TEST_CASE("Residual finishes the pending sum of a feed-forward block, at the block's price") {
  using In = nn::Linear<ShardedTensor<packed<f32>, Shape<width, 32>, M, P<None, model>, Host>>;
  using Out = nn::Linear<ShardedTensor<packed<f32>, Shape<32, width>, M, P<model>, Host>>;
  nn::Residual<nn::GatedFeedForward<In, In, Out>> block;
  Host dev(1);
  load(dev, block.layer.gate.weight, {width, 32}, random(2, width * 32));
  load(dev, block.layer.up.weight, {width, 32}, random(3, width * 32));
  load(dev, block.layer.down.weight, {32, width}, random(4, width * 32));
  const auto x = input<P<data>>(dev);
  const auto y = block(dev, x);
  CHECK(dev.traffic().collectives == 1);
  CHECK(elements(y) == elements(add(dev, x, reduce(dev, block.layer(dev, x)))));
}

TEST_CASE("Repeat runs its blocks one after the other, a number of them or as many as run time says") {
  Host dev(1);
  nn::Repeat<3, Affine> three{{{{2, 0}, {1, 1}, {3, 0}}}};
  CHECK(elements(three(dev, input<P<data>>(dev))) == mapped(6, 3));
  CHECK(names(three, "layer_") == std::vector<std::string>{"layer_0/affine", "layer_1/affine", "layer_2/affine"});
  nn::Repeat<dyn, Affine> some;
  CHECK(elements(some(dev, input<P<data>>(dev))) == values);
  some.blocks.assign(2, Affine{2, 0});
  CHECK(elements(some(dev, input<P<data>>(dev))) == mapped(4, 0));
}

TEST_CASE("Repeat hands every block its own state, and all of them the rest") {
  Host dev(1);
  nn::Repeat<3, Counting> layers;
  std::vector<index_t> states = {0, 10, 20};
  const auto y = layers(dev, input<P<>>(dev), nn::per_layer(states), 0.5f);
  CHECK(states == std::vector<index_t>{1, 11, 21});
  CHECK(error(elements(y), mapped(1, 1 + 11 + 21 + 1.5f)) < 1e-6);
}

namespace {

/// A row-parallel product: its result is pending over `model`.
using Pending = nn::Linear<ShardedTensor<packed<f32>, Shape<width, width>, M, P<model, None>, Host>>;
/// The same with the weight on every device: nothing is pending.
using Finished = nn::Linear<ShardedTensor<packed<f32>, Shape<width, width>, M, P<None, None>, Host>>;

/// A layer whose input is moved to where its weight wants it.
template <class L>
struct Moving {
  L linear{};
  template <class D, class T>
  constexpr auto operator()(D& dev, const T& x) const {
    return linear(dev, x, nn::WeightStationary{});
  }
};
std::vector<f32> sum_of(const std::vector<f32>& a, const std::vector<f32>& b) {
  std::vector<f32> sum(a);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += b[i];
  return sum;
}

}  // namespace

TEST_CASE("Parallel adds layers of the same input; sums that are pending alike are finished once") {
  Host dev(1);
  nn::Parallel<Moving<Pending>, Moving<Pending>> layers;
  load(dev, std::get<0>(layers.layers).linear.weight, {width, width}, random(5, width * width));
  load(dev, std::get<1>(layers.layers).linear.weight, {width, width}, random(6, width * width));
  const auto x = input<P<data>>(dev);
  const auto a = reduce(dev, std::get<0>(layers.layers)(dev, x)), b = reduce(dev, std::get<1>(layers.layers)(dev, x));
  const index_t before = dev.traffic().collectives;
  const auto y = reduce(dev, layers(dev, x));
  CHECK(dev.traffic().collectives == before + 1);
  CHECK(error(elements(y), sum_of(elements(a), elements(b))) < 1e-6);
}

TEST_CASE("Parallel lets what is finished, or pending over other axes, be pending with the rest, for nothing") {
  Host dev(1);
  using OverData = nn::Linear<ShardedTensor<packed<f32>, Shape<width, width>, M, P<data, None>, Host>>;
  nn::Parallel<Moving<Pending>, Moving<OverData>, Moving<Finished>> layers;
  auto& [over_model, over_data, finished] = layers.layers;
  load(dev, over_model.linear.weight, {width, width}, random(5, width * width));
  load(dev, over_data.linear.weight, {width, width}, random(6, width * width));
  load(dev, finished.linear.weight, {width, width}, random(7, width * width));
  const auto x = input<P<>>(dev);
  const auto a = reduce(dev, over_model(dev, x)), b = reduce(dev, over_data(dev, x)), c = finished(dev, x);
  const index_t before = dev.traffic().collectives;
  const auto y = layers(dev, x);
  CHECK(dev.traffic().collectives == before);
  CHECK(error(elements(reduce(dev, y)), sum_of(sum_of(elements(a), elements(b)), elements(c))) < 1e-6);
}

TEST_CASE("Parallel finishes results that are sharded differently into the spec of the input") {
  Host dev(1);
  using Columns = nn::Linear<ShardedTensor<packed<f32>, Shape<width, width>, M, P<None, model>, Host>>;
  nn::Parallel<Moving<Pending>, Moving<Columns>> layers;
  auto& [pending, columns] = layers.layers;
  load(dev, pending.linear.weight, {width, width}, random(5, width * width));
  load(dev, columns.linear.weight, {width, width}, random(6, width * width));
  const auto x = input<P<data>>(dev);
  const auto y = layers(dev, x);
  CHECK(decltype(y)::sharding == decltype(x)::sharding);
  const auto a = reduce(dev, pending(dev, x));
  const auto b = columns(dev, x);
  CHECK(error(elements(y), sum_of(elements(a), elements(b))) < 1e-6);
}

TEST_CASE("Gated weighs a layer by a sigmoid, one number a row, and leaves its pending sum pending") {
  Host dev(1);
  using Gate = nn::Linear<ShardedTensor<packed<f32>, Shape<width, 1>, M, P<None, None>, Host>>;
  nn::Gated<Gate, Moving<Pending>> layer;
  const auto gate = random(7, width), weight = random(6, width * width);
  load(dev, layer.gate.weight, {width, 1}, gate);
  load(dev, layer.layer.linear.weight, {width, width}, weight);
  const auto y = layer(dev, input<P<data>>(dev));
  CHECK(decltype(y)::sharding.partial != 0);
  std::vector<f64> expected;
  for (std::size_t row = 0; row < 4; ++row) {
    f64 logit = 0;
    for (std::size_t k = 0; k < width; ++k) logit += static_cast<f64>(values[row * width + k]) * gate[k];
    for (std::size_t n = 0; n < width; ++n) {
      f64 product = 0;
      for (std::size_t k = 0; k < width; ++k)
        product += static_cast<f64>(values[row * width + k]) * weight[k * width + n];
      expected.push_back(product / (1 + std::exp(-logit)));
    }
  }
  CHECK(error(elements(reduce(dev, y)), expected) < 1e-6);
}

TEST_CASE("Either is one of two layers, with the parameters of that one") {
  Host dev(1);
  nn::Either<Affine, nn::Sequential<Affine, Affine>> layer{{2, 0}, {{{1, 1}, {3, 0}}}};
  CHECK(elements(layer(dev, input<P<data>>(dev))) == mapped(2, 0));
  CHECK(names(layer, "l") == std::vector<std::string>{"l/affine"});
  layer.takes_second = true;
  CHECK(elements(layer(dev, input<P<data>>(dev))) == mapped(3, 3));
  CHECK(names(layer, "l") == std::vector<std::string>{"l/0/affine", "l/1/affine"});
}
