// Grouped-query attention with rotary positions and a cache: stage by stage against f64, in one go and token by token.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/multi_head_attention.hpp>
#include <tess/ops/reshard.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 2, T = 6, E = 32, HQ = 8, HK = 4, W = 8, capacity = 10;
using S = Shape<dyn, dyn, E>;
constexpr Segment prompt[] = {{0, 0, 6}, {1, 0, 4}};  // the second row is shorter: two tokens of padding

/// Biased: query, key, value and output have biases; then nothing may be pending where they are added.
/// KeyAxis: what the key/value heads lie over, `model` or its major part.
template <class M, class D, class Element, bool Biased, class Strategy = nn::WeightStationary, class KeyAxis = model>
struct Types {
  template <class Spec, index_t... N>
  using Tensor = ShardedTensor<f32, Shape<N...>, M, Spec, D>;
  template <class Spec, index_t In, index_t Out>
  using Weight = ShardedTensor<packed<Element>, Shape<In, Out>, M, Spec, D>;
  template <class Spec, index_t In, index_t Out>
  using Projection = nn::Linear<Weight<Spec, In, Out>, std::conditional_t<Biased, Tensor<P<model>, Out>, nn::NoBias>>;
  using Output = std::conditional_t<Biased, nn::Linear<Weight<P<>, HQ * W, E>, Tensor<P<>, E>>,
                                    nn::Linear<Weight<P<model, data>, HQ * W, E>>>;
  using Layer = nn::MultiHeadAttention<nn::Heads<HQ, HK, W>, Projection<P<data, model>, E, HQ * W>,
                                       Projection<P<data, KeyAxis>, E, HK * W>, Projection<P<data, KeyAxis>, E, HK * W>,
                                       Output, nn::RotaryEmbedding<>, Strategy>;
  using Cache = nn::KVCache<ShardedTensor<bf16, Shape<dyn, dyn, HK, W>, M, P<data, None, KeyAxis>, D>>;
  using X = ShardedTensor<f32, S, M, P<data>, D>;

  static Cache cache(D& dev) {
    const Extents<Shape<dyn, dyn, HK, W>> extents(B, capacity);
    using C = decltype(Cache::keys);
    return {make_state<C>(dev, extents), make_state<C>(dev, extents)};
  }
};

/// What the parameters hold after rounding.
struct Numbers {
  std::vector<f32> query, key, value, output, query_b, key_b, value_b, output_b;
};
template <class Layer>
Numbers fill(Host& dev, Layer& layer) {
  Numbers n;
  index_t seed = 10;
  const auto one = [&](auto& l, index_t in, index_t out, std::vector<f32>& w, std::vector<f32>& b) {
    w = load(dev, l.weight, {in, out}, random(seed++, in * out, 0.3));
    b.assign(static_cast<std::size_t>(out), 0.0f);
    if constexpr (requires { l.bias.extents(); }) {
      b = random(seed++, out);
      l.bias = tensor<std::remove_reference_t<decltype(l.bias)>>(dev, {}, b);
    }
  };
  one(layer.query, E, HQ * W, n.query, n.query_b);
  one(layer.key, E, HK * W, n.key, n.key_b);
  one(layer.value, E, HK * W, n.value, n.value_b);
  one(layer.output, HQ * W, E, n.output, n.output_b);
  return n;
}

std::vector<f64> affine(const std::vector<f64>& x, const std::vector<f32>& w, const std::vector<f32>& b, index_t in) {
  const auto out = static_cast<index_t>(b.size());
  auto y = product(x, w, in, out);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += static_cast<f64>(b[i % b.size()]);
  return y;
}

/// Rotates [B, T, heads, W] in place; every row begins at position 0.
std::vector<f64> turned(std::vector<f64> x, index_t heads) {
  for (index_t row = 0; row < B * T; ++row)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < W / 2; ++i) {
        const f64 angle = static_cast<f64>(row % T) * std::pow(10000.0, -2.0 * static_cast<f64>(i) / W);
        f64* const pair = x.data() + (row * heads + h) * W + i;
        const f64 a = pair[0], b = pair[W / 2];
        pair[0] = a * std::cos(angle) - b * std::sin(angle);
        pair[W / 2] = b * std::cos(angle) + a * std::sin(angle);
      }
  return x;
}

/// The tokens that are no padding, of [B, length, line].
template <class V>
std::vector<V> real(const std::vector<V>& x, index_t length, index_t line) {
  std::vector<V> kept;
  for (index_t b = 0; b < B; ++b)
    kept.insert(kept.end(), x.begin() + b * length * line, x.begin() + (b * length + prompt[b].count) * line);
  return kept;
}

/// softmax(cap(scale · q k)) v · w_o from what the cache holds.
std::vector<f64> attended(const std::vector<f64>& q, const std::vector<bf16>& k, const std::vector<bf16>& v,
                          const Numbers& n, AttentionOptions o) {
  std::vector<f64> mixed(static_cast<std::size_t>(B * T * HQ * W));
  const auto at = [](const std::vector<bf16>& c, index_t b, index_t t, index_t h, index_t i) {
    return static_cast<f64>(f32(c[static_cast<std::size_t>(((b * capacity + t) * HK + h) * W + i)]));
  };
  for (index_t b = 0; b < B; ++b)
    for (index_t t = 0; t < prompt[b].count; ++t)
      for (index_t h = 0; h < HQ; ++h) {
        const index_t head = h / (HQ / HK), row = ((b * T + t) * HQ + h) * W;
        f64 sum = 0;
        for (index_t s = 0; s <= t; ++s) {
          f64 score = 0;
          for (index_t i = 0; i < W; ++i) score += q[static_cast<std::size_t>(row + i)] * at(k, b, s, head, i);
          score *= static_cast<f64>(o.scale);
          if (o.cap > 0) score = static_cast<f64>(o.cap) * std::tanh(score / static_cast<f64>(o.cap));
          sum += std::exp(score);
          for (index_t i = 0; i < W; ++i)
            mixed[static_cast<std::size_t>(row + i)] += std::exp(score) * at(v, b, s, head, i);
        }
        for (index_t i = 0; i < W; ++i) mixed[static_cast<std::size_t>(row + i)] /= sum;
      }
  return affine(mixed, n.output, n.output_b, HQ * W);
}

template <class M, class Element, bool Biased, class Strategy = nn::WeightStationary, class KeyAxis = model>
void agrees(AttentionOptions options, f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  using Mine = Types<M, Host, Element, Biased, Strategy, KeyAxis>;
  typename Mine::Layer layer;
  layer.options = options;
  const Numbers n = fill(dev, layer);
  const auto values = random(1, B * T * E);
  const auto x = tensor<typename Mine::X>(dev, Extents<S>(B, T), values);
  auto cache = Mine::cache(dev);
  const auto y = reduce(dev, layer(dev, x, cache, prompt));

  // The bill is the traffic.
  using Dried = Types<M, Dry, Element, Biased, Strategy, KeyAxis>;
  Dry dry;
  auto dry_cache = Dried::cache(dry);
  reduce(dry, typename Dried::Layer{}(dry, make<typename Dried::X>(dry, Extents<S>(B, T)), dry_cache, prompt));
  check_traffic(dev, dry.cost);

  // Keys and values are rounded once, to bf16.
  const auto k = elements(cache.keys), v = elements(cache.values);
  const auto wide = widened(values);
  CHECK(error(real(k, capacity, HK * W), real(turned(affine(wide, n.key, n.key_b, E), HK), T, HK * W)) < 1.0 / 256);
  CHECK(error(real(v, capacity, HK * W), real(affine(wide, n.value, n.value_b, E), T, HK * W)) < 1.0 / 256);

  // From there to the result nothing else is.
  const auto truth = attended(turned(affine(wide, n.query, n.query_b, E), HQ), k, v, n, options);
  const auto found = real(elements(y), T, E);
  CHECK(error(found, real(truth, T, E)) < bound);

  // Token by token through another cache: the same cache, the same result.
  auto stepwise = Mine::cache(dev);
  std::vector<f32> steps(static_cast<std::size_t>(B * T * E));
  for (index_t t = 0; t < T; ++t) {
    const Segment rows[] = {{0, t, 1}, {1, std::min<index_t>(t, 4), t < 4 ? 1 : 0}};
    std::vector<f32> token;
    for (index_t b = 0; b < B; ++b)
      token.insert(token.end(), values.begin() + (b * T + t) * E, values.begin() + (b * T + t + 1) * E);
    const auto out =
        elements(reduce(dev, layer(dev, tensor<typename Mine::X>(dev, Extents<S>(B, 1), token), stepwise, rows)));
    for (index_t b = 0; b < B; ++b) std::copy_n(out.begin() + b * E, E, steps.begin() + (b * T + t) * E);
  }
  CHECK(error(real(steps, T, E), found) < 1e-6);
  const auto once = elements(stepwise.keys);
  CHECK(std::memcmp(once.data(), k.data(), k.size() * sizeof(bf16)) == 0);
}

constexpr AttentionOptions plain{0.3f, 0}, capped{0.3f, 2};

}  // namespace

TEST_CASE("f32 weights, with and without a cap on the scores") {
  for (const AttentionOptions& o : {plain, capped}) {
    agrees<Grid<1, 1>, f32, false>(o, 1e-6);
    agrees<Grid<2, 2>, f32, false>(o, 1e-6);
  }
}
TEST_CASE("with biases") {
  agrees<Grid<1, 1>, f32, true>(capped, 1e-6);
  agrees<Grid<2, 2>, f32, true>(capped, 1e-6);
}
TEST_CASE("int8 weights") {
  agrees<Grid<1, 1>, q8<1>, false>(plain, 6e-5);
  agrees<Grid<2, 2>, q8<1>, false>(plain, 6e-5);
}

TEST_CASE("gathered weights: the same numbers at another price") {
  agrees<Grid<2, 2>, f32, false, nn::Gathered>(capped, 1e-6);
  agrees<Grid<2, 4>, bf16, false, nn::Gathered>(plain, 2e-5);
  agrees<Grid<2, 2>, q8<1>, false, nn::Gathered>(plain, 6e-5);
  agrees<Grid<2, 2>, f32, true, nn::Gathered>(plain, 1e-6);
}
TEST_CASE("fewer key/value heads than devices: four heads on eight devices, each on two that stand side by side") {
  using Paired = Mesh<Axis<data, 1>, Axis<model, 4, 2>>;
  agrees<Paired, f32, false, nn::WeightStationary, Sub<model, 1, 4>>(plain, 1e-6);
  agrees<Paired, q8<1>, false, nn::WeightStationary, Sub<model, 1, 4>>(capped, 6e-5);
  agrees<Mesh<Axis<data, 2>, Axis<model, 2, 2>>, f32, false, nn::Gathered, Sub<model, 1, 2>>(plain, 1e-6);
}
TEST_CASE("key/value heads on every device: each uses those of its own query heads") {
  agrees<Mesh<Axis<data, 1>, Axis<model, 1, 2>>, f32, false, nn::WeightStationary, Axes<>>(plain, 1e-6);
  agrees<Mesh<Axis<data, 2>, Axis<model, 2, 2>>, f32, false, nn::WeightStationary, Axes<>>(plain, 1e-6);
}

TEST_CASE("the names of the parameters") {
  Types<Grid<1, 1>, Host, f32, false>::Layer layer;
  std::vector<std::string> paths;
  layer.parameters(nn::Scope("mha"), [&](const nn::Scope& scope, auto&) { paths.push_back(scope.path()); });
  CHECK(paths == std::vector<std::string>{"mha/query/w", "mha/key/w", "mha/value/w", "mha/output/w"});
}
