// Latent attention against the unabsorbed formulas in f64: with keys and values of every head written out.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>

#include <tess/nn/latent_attention.hpp>
#include <tess/nn/rms_norm.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

// More tokens than a block of attention has, a latent longer than a block of a product, and nothing round.
constexpr index_t B = 2, T = 70, E = 32, H = 8, nope = 21, rope = 6, latent = 300, v = 7, rank = 10, capacity = 73;
constexpr index_t width = nope + rope;
using S = Shape<dyn, dyn, E>;
constexpr Segment prompt[] = {{0, 0, T}, {1, 0, T - 3}};  // the second row is shorter: three tokens of padding
constexpr f64 eps = 1e-6;

/// Sizes: the types say them, or only the weights do. K: what the contracted dimension of the weights of x lies over.
template <class M, class D, bool LowRankQuery, bool Sizes, class Element, class C, class Strategy, class K>
struct Types {
  static constexpr index_t known(index_t n) { return Sizes ? n : dyn; }
  template <class Spec, index_t... N>
  using Weight = ShardedTensor<packed<Element>, Shape<known(N)...>, M, Spec, D>;
  template <index_t N>
  using Norm = nn::RMSNorm<ShardedTensor<f32, Shape<known(N)>, M, P<>, D>>;
  template <class Spec, index_t In, index_t Out>
  using Linear = nn::Linear<Weight<Spec, In, Out>>;
  using Query =
      std::conditional_t<LowRankQuery,
                         nn::LowRank<Linear<P<K>, E, rank>, Norm<rank>, Linear<P<None, model>, rank, H * width>>,
                         Linear<P<K, model>, E, H * width>>;
  using Layer = nn::LatentAttention<
      Query, Linear<P<K>, E, latent + rope>, Norm<latent>, nn::HeadLinear<Weight<P<model>, H, nope, latent>>,
      nn::HeadLinear<Weight<P<model>, H, latent, v>>, Linear<P<model, K>, H * v, E>, nn::RotaryEmbedding<>, Strategy>;
  using Cache = nn::LatentCache<ShardedTensor<C, Shape<dyn, dyn, 1, known(latent + rope)>, M, P<data>, D>>;
  using X = ShardedTensor<f32, S, M, P<data>, D>;
};

/// What the parameters hold after rounding.
struct Numbers {
  std::vector<f32> query, query_down, query_scale, query_up, latent_down, latent_scale, key_up, value_up, output;
};
template <class Layer>
Numbers fill(Host& dev, Layer& layer) {
  Numbers n;
  index_t seed = 10;
  const auto matrix = [&](auto& l, std::vector<index_t> shape) {
    index_t size = 1;
    for (const index_t extent : shape) size *= extent;
    return load(dev, l.weight, shape, random(seed++, size, 0.4));
  };
  const auto scale = [&](auto& norm, index_t size) {
    auto values = random(seed++, size, 0.5);
    for (f32& x : values) x += 1;
    using Scale = std::remove_reference_t<decltype(norm.scale)>;
    norm.scale = tensor<Scale>(dev, Extents<typename Scale::shape>::from({size}), values);
    norm.eps = static_cast<f32>(eps);
    return values;
  };
  if constexpr (requires { layer.query.down; }) {
    n.query_down = matrix(layer.query.down, {E, rank});
    n.query_scale = scale(layer.query.norm, rank);
    n.query_up = matrix(layer.query.up, {rank, H * width});
  } else {
    n.query = matrix(layer.query, {E, H * width});
  }
  n.latent_down = matrix(layer.latent_down, {E, latent + rope});
  n.latent_scale = scale(layer.latent_norm, latent);
  n.key_up = matrix(layer.key_up, {H, nope, latent});
  n.value_up = matrix(layer.value_up, {H, latent, v});
  n.output = matrix(layer.output, {H * v, E});
  return n;
}

/// x [rows, n] over the root of each row's mean square, times the scale.
std::vector<f64> normalised(std::vector<f64> x, const std::vector<f32>& scale) {
  const std::size_t n = scale.size();
  for (std::size_t row = 0; row < x.size(); row += n) {
    f64 squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += x[row + i] * x[row + i];
    for (std::size_t i = 0; i < n; ++i)
      x[row + i] *= static_cast<f64>(scale[i]) / std::sqrt(squares / static_cast<f64>(n) + eps);
  }
  return x;
}
/// The pair (x_2j, x_2j+1) of `rope` values turns by t · base^(-2j / rope).
void turn(f64* x, index_t t, f64 base) {
  for (index_t j = 0; j < rope / 2; ++j) {
    const f64 angle = static_cast<f64>(t) * std::pow(base, -2.0 * static_cast<f64>(j) / rope);
    const f64 a = x[2 * j], b = x[2 * j + 1];
    x[2 * j] = a * std::cos(angle) - b * std::sin(angle);
    x[2 * j + 1] = a * std::sin(angle) + b * std::cos(angle);
  }
}

/// modeling_deepseek.py, class DeepseekV3Attention: every head's keys [nope | rope] and values, then plain attention.
std::vector<f64> unabsorbed(const Numbers& n, const std::vector<f32>& values, f64 scale, f64 base) {
  const auto x = widened(values);
  auto q = n.query.empty()
               ? product(normalised(product(x, n.query_down, E, rank), n.query_scale), n.query_up, rank, H * width)
               : product(x, n.query, E, H * width);
  const auto down = product(x, n.latent_down, E, latent + rope);
  std::vector<f64> c, shared;
  for (index_t row = 0; row < B * T; ++row) {
    const auto at = down.begin() + row * (latent + rope);
    c.insert(c.end(), at, at + latent);
    shared.insert(shared.end(), at + latent, at + latent + rope);
  }
  c = normalised(c, n.latent_scale);
  const auto latent_of = [&](index_t row, index_t i) { return c[static_cast<std::size_t>(row * latent + i)]; };
  std::vector<f64> mixed(static_cast<std::size_t>(B * T * H * v));
  std::vector<f64> keys(static_cast<std::size_t>(B * T * H * width)), vals(mixed.size());
  for (index_t row = 0; row < B * T; ++row) {
    turn(shared.data() + row * rope, row % T, base);
    for (index_t h = 0; h < H; ++h) {
      f64* const key = keys.data() + (row * H + h) * width;
      for (index_t i = 0; i < nope; ++i)
        for (index_t l = 0; l < latent; ++l)
          key[i] +=
              static_cast<f64>(n.key_up[static_cast<std::size_t>((h * nope + i) * latent + l)]) * latent_of(row, l);
      std::copy_n(shared.data() + row * rope, rope, key + nope);
      for (index_t i = 0; i < v; ++i)
        for (index_t l = 0; l < latent; ++l)
          vals[static_cast<std::size_t>((row * H + h) * v + i)] +=
              static_cast<f64>(n.value_up[static_cast<std::size_t>((h * latent + l) * v + i)]) * latent_of(row, l);
      turn(q.data() + (row * H + h) * width + nope, row % T, base);
    }
  }
  for (index_t b = 0; b < B; ++b)
    for (index_t t = 0; t < prompt[b].count; ++t)
      for (index_t h = 0; h < H; ++h) {
        f64* const out = mixed.data() + ((b * T + t) * H + h) * v;
        f64 sum = 0;
        for (index_t s = 0; s <= t; ++s) {
          f64 score = 0;
          for (index_t i = 0; i < width; ++i)
            score += q[static_cast<std::size_t>(((b * T + t) * H + h) * width + i)] *
                     keys[static_cast<std::size_t>(((b * T + s) * H + h) * width + i)];
          const f64 share = std::exp(score * scale);
          sum += share;
          for (index_t i = 0; i < v; ++i)
            out[i] += share * vals[static_cast<std::size_t>(((b * T + s) * H + h) * v + i)];
        }
        for (index_t i = 0; i < v; ++i) out[i] /= sum;
      }
  return product(mixed, n.output, H * v, E);
}

/// The tokens that are no padding, of [B, T, E].
template <class V>
std::vector<V> real(const std::vector<V>& x) {
  std::vector<V> kept;
  for (index_t b = 0; b < B; ++b)
    kept.insert(kept.end(), x.begin() + b * T * E, x.begin() + (b * T + prompt[b].count) * E);
  return kept;
}

template <class M, bool LowRankQuery, bool Sizes = true, class Element = f32, class C = f32,
          class Strategy = nn::WeightStationary, class K = None>
void agrees(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  using Mine = Types<M, Host, LowRankQuery, Sizes, Element, C, Strategy, K>;
  typename Mine::Layer layer;
  layer.options.scale = static_cast<f32>(1 / std::sqrt(static_cast<f64>(width)));
  layer.rotary.pairs = RotaryPairs::neighbours;
  layer.rotary.base = 100;
  const Numbers n = fill(dev, layer);
  const auto values = random(1, B * T * E);
  const auto x = tensor<typename Mine::X>(dev, Extents<S>(B, T), values);
  auto cache = layer.template empty_cache<typename Mine::Cache>(dev, B, capacity);
  const auto found = real(elements(reduce(dev, layer(dev, x, cache, prompt))));
  CHECK(error(found, real(unabsorbed(n, values, 1 / std::sqrt(static_cast<f64>(width)), 100))) < bound);

  // The bill is the traffic, and the cache what a token leaves.
  if constexpr (Sizes) {
    using Dried = Types<M, Dry, LowRankQuery, Sizes, Element, C, Strategy, K>;
    constexpr Cost bill = [] {
      Dry dry;
      typename Dried::Layer dried;
      auto dry_cache = dried.template empty_cache<typename Dried::Cache>(dry, B, capacity);
      (void)reduce(dry, dried(dry, make<typename Dried::X>(dry, Extents<S>(B, T)), dry_cache, prompt));
      return dry.cost;
    }();
    check_traffic(dev, bill);
    CHECK(bill.cache_bytes == B / M::axis_size(0) * capacity * (latent + rope) * static_cast<index_t>(sizeof(C)));
    if (std::is_same_v<K, None>) CHECK(bill.collectives == (M::axis_size(1) > 1));  // the output's sum
  }

  // Token by token through another cache: the same cache, the same result.
  auto stepwise = layer.template empty_cache<typename Mine::Cache>(dev, B, capacity);
  std::vector<f32> steps(static_cast<std::size_t>(B * T * E));
  for (index_t t = 0; t < T; ++t) {
    const index_t last = prompt[1].count;
    const Segment rows[] = {{0, t, 1}, {1, std::min(t, last), t < last ? 1 : 0}};
    std::vector<f32> token;
    for (index_t b = 0; b < B; ++b)
      token.insert(token.end(), values.begin() + (b * T + t) * E, values.begin() + (b * T + t + 1) * E);
    const auto out =
        elements(reduce(dev, layer(dev, tensor<typename Mine::X>(dev, Extents<S>(B, 1), token), stepwise, rows)));
    for (index_t b = 0; b < B; ++b) std::copy_n(out.begin() + b * E, E, steps.begin() + (b * T + t) * E);
  }
  CHECK(error(real(steps), found) < 1e-6);
  const auto once = elements(cache.latents), again = elements(stepwise.latents);
  const int difference = std::memcmp(once.data(), again.data(), once.size() * sizeof(C));
  CHECK(difference == 0);
}

}  // namespace

TEST_CASE("absorbed matrices give what the written-out keys and values give, on every mesh") {
  agrees<Grid<1, 1>, true>(2e-6);
  agrees<Grid<1, 2>, true>(2e-6);
  agrees<Grid<2, 1>, true>(2e-6);
  agrees<Grid<1, 4>, true>(2e-6);
  agrees<Grid<2, 2>, true>(2e-6);
  agrees<Grid<2, 4>, true>(2e-6);
}
TEST_CASE("queries of one plain projection") {
  agrees<Grid<1, 1>, false>(2e-6);
  agrees<Grid<2, 4>, false>(2e-6);
}
TEST_CASE("sizes that only the weights know") {
  agrees<Grid<1, 1>, true, false>(2e-6);
  agrees<Grid<2, 2>, false, false>(2e-6);
}
TEST_CASE("other element types: bf16 weights, and latents rounded once into a bf16 cache") {
  agrees<Grid<2, 2>, true, true, bf16>(5e-5);
  agrees<Grid<2, 2>, true, true, f32, bf16>(1e-2);
}
TEST_CASE("weights sharded over the batch's axis as well: left at rest, or gathered") {
  agrees<Grid<2, 2>, false, true, f32, f32, nn::WeightStationary, data>(2e-6);
  agrees<Grid<2, 2>, true, true, f32, f32, nn::WeightStationary, data>(2e-6);
  agrees<Grid<2, 2>, false, true, f32, f32, nn::Gathered, data>(2e-6);
}

TEST_CASE("the names of the parameters") {
  const auto paths = [](auto layer) {
    std::string all;
    layer.parameters(nn::Scope("a"), [&](const nn::Scope& scope, auto&) { all += scope.path() + " "; });
    return all;
  };
  const std::string rest = "a/latent_down/w a/latent_norm/scale a/key_up/w a/value_up/w a/output/w ";
  CHECK(paths(Types<Grid<1, 1>, Host, true, true, f32, f32, nn::WeightStationary, None>::Layer{}) ==
        "a/query_down/w a/query_norm/scale a/query_up/w " + rest);
  CHECK(paths(Types<Grid<1, 1>, Host, false, true, f32, f32, nn::WeightStationary, None>::Layer{}) ==
        "a/query/w " + rest);
}
