// Attention as other models have it: norms of heads, biases of a pending product, sinks, a window, positions of YaRN.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/key_value_axis.hpp>
#include <tess/nn/multi_head_attention.hpp>
#include <tess/nn/rms_norm.hpp>
#include <tess/ops/reshard.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t... N>
using Grid = Mesh<Axis<data, D>, Axis<model, N...>>;

constexpr index_t B = 2, T = 11, E = 20, HQ = 8, HK = 2, W = 6, capacity = 12;  // HQ * W is not E
using S = Shape<dyn, dyn, E>;
constexpr Segment prompt[] = {{0, 0, T}, {1, 0, 9}};  // the second row is shorter: two tokens of padding

/// `Sized`: the types know the sizes; otherwise the layer is told at run time.
template <class M, class D, bool Sized = true>
struct Types {
  static constexpr index_t q = Sized ? HQ * W : dyn, kv = Sized ? HK * W : dyn, width = Sized ? W : dyn;
  using KeyAxis = nn::key_value_axis<M, model, HK>;
  template <class Spec, index_t... N>
  using Tensor = ShardedTensor<f32, Shape<N...>, M, Spec, D>;
  template <class Spec, index_t In, index_t Out, class BiasSpec>
  using Linear = nn::Linear<ShardedTensor<packed<f32>, Shape<In, Out>, M, Spec, D>,
                            ShardedTensor<f32, Shape<Out>, M, BiasSpec, D>>;
  using Key = Linear<P<None, KeyAxis>, E, kv, P<KeyAxis>>;
  using Norm = nn::RMSNorm<ShardedTensor<f32, Shape<width>, M, P<>, D>>;
  using Sinks = ShardedTensor<f32, Shape<Sized ? HQ : dyn>, M, P<model>, D>;
  using Layer =
      nn::MultiHeadAttention<nn::Heads<Sized ? HQ : dyn, Sized ? HK : dyn, width>,
                             Linear<P<None, model>, E, q, P<model>>, Key, Key, Linear<P<model, None>, q, E, P<>>,
                             nn::RotaryEmbedding<>, nn::WeightStationary, Norm, Sinks>;
  using Cache = nn::KVCache<ShardedTensor<f32, Shape<dyn, dyn, Sized ? HK : dyn, width>, M, P<data, None, KeyAxis>, D>>;
  using X = ShardedTensor<f32, S, M, P<data>, D>;
};

RotaryOptions some_rotary() {
  return {.base = 100,
          .scaling = RotaryScaling::yarn,
          .factor = 4,
          .original_positions = 16,
          .beta_fast = 2,
          .truncate = false};
}

/// The layer's numbers: every parameter by its path.
struct Numbers {
  std::vector<f32> query, key, value, output, query_b, key_b, value_b, output_b, query_norm, key_norm, sinks;
};
template <class Layer>
Numbers fill(Host& dev, Layer& layer) {
  Numbers n;
  index_t seed = 10;
  const auto linear = [&](auto& l, index_t in, index_t out, std::vector<f32>& w, std::vector<f32>& b) {
    w = load(dev, l.weight, {in, out}, random(seed++, in * out, 0.3));
    b = load(dev, l.bias, {out}, random(seed++, out));
  };
  linear(layer.query, E, HQ * W, n.query, n.query_b);
  linear(layer.key, E, HK * W, n.key, n.key_b);
  linear(layer.value, E, HK * W, n.value, n.value_b);
  linear(layer.output, HQ * W, E, n.output, n.output_b);
  n.query_norm = load(dev, layer.query_norm.scale, {W}, random(seed++, W));
  n.key_norm = load(dev, layer.key_norm.scale, {W}, random(seed++, W));
  n.sinks = load(dev, layer.sinks, {HQ}, random(seed++, HQ));
  layer.options = {0.4f, 0, 4};
  static_cast<RotaryOptions&>(layer.rotary) = some_rotary();
  layer.query_heads = HQ, layer.key_value_heads = HK, layer.head_width = W;
  return n;
}

/// x W + b, and of every head of W values the norm and the rotation.
std::vector<f64> projected(const std::vector<f64>& x, const std::vector<f32>& w, const std::vector<f32>& b,
                           index_t in) {
  auto y = product(x, w, in, static_cast<index_t>(b.size()));
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += static_cast<f64>(b[i % b.size()]);
  return y;
}
std::vector<f64> normed_and_turned(std::vector<f64> y, index_t heads, const std::vector<f32>& scale, f64 eps) {
  const auto theta = rotary_frequencies(some_rotary(), W);
  const f64 magnitude = 0.1 * std::log(4.0) + 1;
  for (index_t row = 0; row < B * T * heads; ++row) {
    f64* const head = y.data() + row * W;
    f64 squares = 0;
    for (index_t i = 0; i < W; ++i) squares += head[i] * head[i] / W;
    for (index_t i = 0; i < W; ++i)
      head[i] *= static_cast<f64>(scale[static_cast<std::size_t>(i)]) / std::sqrt(squares + eps);
    for (index_t i = 0; i < W / 2; ++i) {
      const f64 angle = static_cast<f64>(row / heads % T) * theta[static_cast<std::size_t>(i)];
      const f64 a = head[i], b = head[i + W / 2];
      head[i] = magnitude * (a * std::cos(angle) - b * std::sin(angle));
      head[i + W / 2] = magnitude * (b * std::cos(angle) + a * std::sin(angle));
    }
  }
  return y;
}

std::vector<f64> truth(const std::vector<f32>& tokens, const Numbers& n, f64 eps) {
  const auto x = widened(tokens);
  const auto q = normed_and_turned(projected(x, n.query, n.query_b, E), HQ, n.query_norm, eps);
  const auto k = normed_and_turned(projected(x, n.key, n.key_b, E), HK, n.key_norm, eps);
  const auto v = projected(x, n.value, n.value_b, E);
  std::vector<f64> mixed(q.size());
  for (index_t b = 0; b < B; ++b)
    for (index_t t = 0; t < T; ++t)
      for (index_t h = 0; h < HQ; ++h) {
        const auto at = [&](index_t s, index_t i) {
          return static_cast<std::size_t>(((b * T + s) * HK + h / (HQ / HK)) * W + i);
        };
        const auto row = static_cast<std::size_t>(((b * T + t) * HQ + h) * W);
        f64 sum = std::exp(static_cast<f64>(n.sinks[static_cast<std::size_t>(h)]));
        for (index_t s = std::max<index_t>(0, t - 3); s <= t; ++s) {
          f64 score = 0;
          for (index_t i = 0; i < W; ++i) score += q[row + static_cast<std::size_t>(i)] * k[at(s, i)];
          const f64 weight = std::exp(static_cast<f64>(0.4f) * score);
          sum += weight;
          for (index_t i = 0; i < W; ++i) mixed[row + static_cast<std::size_t>(i)] += weight * v[at(s, i)];
        }
        for (index_t i = 0; i < W; ++i) mixed[row + static_cast<std::size_t>(i)] /= sum;
      }
  return projected(mixed, n.output, n.output_b, HQ * W);
}

/// The tokens that are no padding.
template <class V>
std::vector<V> real(const std::vector<V>& x) {
  std::vector<V> kept;
  for (index_t b = 0; b < B; ++b)
    kept.insert(kept.end(), x.begin() + b * T * E, x.begin() + (b * T + prompt[b].count) * E);
  return kept;
}

template <class M, bool Sized = true>
void agrees() {
  CAPTURE(M::size);
  Host dev(2);
  using Mine = Types<M, Host, Sized>;
  typename Mine::Layer layer;
  const Numbers n = fill(dev, layer);
  const auto values = random(1, B * T * E);
  auto cache = layer.template empty_cache<typename Mine::Cache>(dev, B, capacity);
  const auto pending = layer(dev, tensor<typename Mine::X>(dev, Extents<S>(B, T), values), cache, prompt);
  CHECK(dev.traffic().collectives == 0);  // the bias, too, became pending for nothing
  const auto found = real(elements(reduce(dev, pending)));
  CHECK(error(found, real(truth(values, n, static_cast<f64>(layer.query_norm.eps)))) < 2e-6);

  if constexpr (Sized) {  // the bill is the traffic
    using Dried = Types<M, Dry>;
    Dry dry;
    typename Dried::Layer bill;
    auto dry_cache = bill.template empty_cache<typename Dried::Cache>(dry, B, capacity);
    reduce(dry, bill(dry, make<typename Dried::X>(dry, Extents<S>(B, T)), dry_cache, prompt));
    check_traffic(dev, dry.cost);
  }

  auto stepwise = layer.template empty_cache<typename Mine::Cache>(dev, B, capacity);
  std::vector<f32> steps(static_cast<std::size_t>(B * T * E));
  for (index_t t = 0; t < T; ++t) {
    const Segment rows[] = {{0, t, 1}, {1, std::min<index_t>(t, 9), t < 9 ? 1 : 0}};
    std::vector<f32> token;
    for (index_t b = 0; b < B; ++b)
      token.insert(token.end(), values.begin() + (b * T + t) * E, values.begin() + (b * T + t + 1) * E);
    const auto out =
        elements(reduce(dev, layer(dev, tensor<typename Mine::X>(dev, Extents<S>(B, 1), token), stepwise, rows)));
    for (index_t b = 0; b < B; ++b) std::copy_n(out.begin() + b * E, E, steps.begin() + (b * T + t) * E);
  }
  CHECK(error(real(steps), found) < 1e-6);
  CHECK(elements(stepwise.keys) == elements(cache.keys));
}

}  // namespace

TEST_CASE("everything at once, against the formulas, on every mesh, in one go and token by token") {
  agrees<Grid<1, 1>>();
  agrees<Grid<2, 1>>();
  agrees<Grid<1, 2>>();
  agrees<Grid<2, 2>>();
  agrees<Grid<1, 2, 2>>();  // four devices along `model`, two to a key head
  agrees<Grid<2, 2, 2>>();
}
TEST_CASE("sizes that only the layer knows at run time") {
  agrees<Grid<1, 1>, false>();
  agrees<Grid<2, 2>, false>();
}

TEST_CASE("the names of the parameters") {
  Types<Grid<1, 1>, Host>::Layer layer;
  std::vector<std::string> paths;
  layer.parameters(nn::Scope("a"), [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); });
  CHECK(paths == std::vector<std::string>{"a/query/w", "a/query/b", "a/key/w", "a/key/b", "a/value/w", "a/value/b",
                                          "a/output/w", "a/output/b", "a/query_norm/scale", "a/key_norm/scale",
                                          "a/sinks"});
}

TEST_CASE("where few key/value heads lie") {
  static_assert(std::same_as<nn::key_value_axis<Grid<1, 2>, model, 2>, model>);
  static_assert(std::same_as<nn::key_value_axis<Grid<1, 2, 2>, model, 2>, Sub<model, 1, 2>>);
  static_assert(std::same_as<nn::key_value_axis<Grid<1, 2, 2>, model, 1>, Axes<>>);
  static_assert(
      std::same_as<nn::key_value_axis<Grid<2, 2>, data, 1>, data>);  // undivided: the layer says where it fails
}
