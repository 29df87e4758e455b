// Attention over a cache: against a plain softmax in f64, for ragged batches, grouped queries and every sharding.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/attention.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 4, T = 5, HQ = 8, HK = 4, W = 16, slots = 4, capacity = 12;
using QueryShape = Shape<dyn, dyn, HQ, W>;
using CacheShape = Shape<dyn, dyn, HK, W>;

/// Rows with 0 to 5 new tokens and 0 to 7 old ones, each in a slot of its own half of the cache.
constexpr Segment ragged[] = {{1, 0, 5}, {0, 7, 3}, {3, 2, 1}, {2, 4, 0}};

std::vector<f64> truth(const std::vector<f32>& q, const std::vector<bf16>& k, const std::vector<bf16>& v,
                       AttentionOptions o) {
  std::vector<f64> y(q.size());
  const auto cache = [&](const std::vector<bf16>& c, index_t slot, index_t t, index_t h, index_t i) {
    return static_cast<f64>(f32(c[static_cast<std::size_t>(((slot * capacity + t) * HK + h) * W + i)]));
  };
  for (index_t b = 0; b < B; ++b)
    for (index_t t = 0; t < ragged[b].count; ++t)
      for (index_t h = 0; h < HQ; ++h) {
        const auto at = [&](index_t i) { return static_cast<std::size_t>(((b * T + t) * HQ + h) * W + i); };
        f64 sum = 0;
        for (index_t s = 0; s <= ragged[b].start + t; ++s) {
          f64 score = 0;
          for (index_t i = 0; i < W; ++i)
            score += static_cast<f64>(q[at(i)]) * cache(k, ragged[b].slot, s, h / (HQ / HK), i);
          score *= static_cast<f64>(o.scale);
          if (o.cap > 0) score = static_cast<f64>(o.cap) * std::tanh(score / static_cast<f64>(o.cap));
          sum += std::exp(score);
          for (index_t i = 0; i < W; ++i) y[at(i)] += std::exp(score) * cache(v, ragged[b].slot, s, h / (HQ / HK), i);
        }
        for (index_t i = 0; i < W; ++i) y[at(i)] /= sum;
      }
  return y;
}

/// Without the tokens that are padding: what stands there is nobody's business.
template <class V>
std::vector<V> real_tokens(const std::vector<V>& y) {
  std::vector<V> kept;
  for (index_t b = 0; b < B; ++b)
    kept.insert(kept.end(), y.begin() + b * T * HQ * W, y.begin() + (b * T + ragged[b].count) * HQ * W);
  return kept;
}

template <class M, class Spec, class CacheSpec = Spec>
void attends(AttentionOptions options) {
  Host dev(2);
  const auto q = random(1, B * T * HQ * W, 3);
  const auto query = tensor<ShardedTensor<f32, QueryShape, M, Spec, Host>>(dev, Extents<QueryShape>(B, T), q);
  using Cache = ShardedTensor<bf16, CacheShape, M, CacheSpec, Host>;
  const Extents<CacheShape> extents(slots, capacity);
  const auto keys = tensor<Cache>(dev, extents, random(2, extents.size(), 2));
  const auto values = tensor<Cache>(dev, extents, random(3, extents.size()));
  const auto y = attention<f32>(dev, query, keys, values, ragged, options);
  CHECK(error(real_tokens(elements(y)), real_tokens(truth(q, elements(keys), elements(values), options))) < 2e-6);
  CHECK(dev.traffic().collectives == 0);
}

}  // namespace

TEST_CASE("every query sees its own sequence up to itself, on any mesh, and no byte moves") {
  for (const AttentionOptions options : {AttentionOptions{0.25f, 0}, AttentionOptions{0.25f, 2}}) {
    CAPTURE(options.cap);
    attends<Grid<1, 1>, P<>>(options);
    attends<Grid<2, 1>, P<data>>(options);
    attends<Grid<1, 4>, P<None, None, model>>(options);
    attends<Grid<2, 2>, P<data, None, model>>(options);
  }
}

TEST_CASE("keys on more devices than there are heads: query heads lie over the same axes and more minor ones") {
  const AttentionOptions options{0.25f, 2};
  using Pairs = Mesh<Axis<data, 1>, Axis<model, 4, 2>>;  // a query head a device, a key head a pair
  attends<Pairs, P<None, None, model>, P<None, None, Sub<model, 1, 4>>>(options);
  attends<Mesh<Axis<data, 2>, Axis<model, 2, 2>>, P<data, None, model>, P<data, None, Sub<model, 1, 2>>>(options);
  attends<Grid<2, 2>, P<data, None, model>, P<data>>(options);  // keys everywhere: a device uses two of the four
  attends<Grid<1, 8>, P<None, None, model>, P<>>(options);      // … one of them
  attends<Mesh<Axis<data, 2>, Axis<model, 4>>, P<None, None, Axes<model, data>>, P<None, None, model>>(options);
}

TEST_CASE("append_to_cache writes the new tokens where they belong and touches nothing else") {
  Host dev(1);
  using M = Grid<2, 2>;
  using Cache = ShardedTensor<bf16, CacheShape, M, P<data, None, model>, Host>;
  const Extents<CacheShape> extents(slots, capacity), fresh(B, T);
  const auto before = random(2, extents.size()), x = random(3, fresh.size());
  auto cache = tensor<Cache>(dev, extents, before);
  append_to_cache(dev, cache, tensor<Cache>(dev, fresh, x), ragged);

  std::vector<bf16> expected;
  for (const f32 v : before) expected.emplace_back(v);
  for (index_t b = 0; b < B; ++b)
    for (index_t i = 0; i < ragged[b].count * HK * W; ++i)
      expected[static_cast<std::size_t>((ragged[b].slot * capacity + ragged[b].start) * HK * W + i)] =
          bf16(x[static_cast<std::size_t>(b * T * HK * W + i)]);
  const auto found = elements(cache);
  for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i].bits == expected[i].bits);
}

TEST_CASE("rotary turns pairs (i, i + D/2) by position / base^(2i / D), from each row's own start") {
  const auto check = [](auto mesh, auto spec) {
    Host dev(1);
    const auto x = random(1, B * T * HQ * W);
    using X = ShardedTensor<f32, QueryShape, decltype(mesh), decltype(spec), Host>;
    const auto y = elements(rotary<f32>(dev, tensor<X>(dev, Extents<QueryShape>(B, T), x), ragged));
    std::vector<f64> expected(x.size());
    for (index_t row = 0; row < B * T; ++row)
      for (index_t h = 0; h < HQ; ++h)
        for (index_t i = 0; i < W / 2; ++i) {
          const auto position = static_cast<f64>(ragged[row / T].start + row % T);
          const f64 angle = position * std::pow(10000.0, -2.0 * static_cast<f64>(i) / static_cast<f64>(W));
          const auto at = static_cast<std::size_t>((row * HQ + h) * W + i);
          const f64 a = static_cast<f64>(x[at]), b = static_cast<f64>(x[at + W / 2]);
          expected[at] = a * std::cos(angle) - b * std::sin(angle);
          expected[at + W / 2] = b * std::cos(angle) + a * std::sin(angle);
        }
    CHECK(error(y, expected) < 1e-6);
  };
  check(Grid<1, 1>{}, P<>{});
  check(Grid<2, 2>{}, P<data, None, model>{});
  check(Grid<1, T>{}, P<None, model>{});  // the tokens of a row on several devices
}

TEST_CASE("segments that do not fit are errors that say how") {
  Host dev(1);
  using M = Grid<2, 1>;
  using X = ShardedTensor<bf16, CacheShape, M, P<data>, Host>;
  const auto x = tensor<X>(dev, Extents<CacheShape>(2, T), random(1, 2 * T * HK * W));
  auto cache = make_state<X>(dev, Extents<CacheShape>(slots, capacity));
  const auto append = [&](Segment first, Segment second) {
    const Segment rows[] = {first, second};
    append_to_cache(dev, cache, x, rows);
  };
  CHECK_NOTHROW(append({0, 0, T}, {2, capacity - T, T}));
  CHECK_THROWS_WITH_AS(append({0, 0, 1}, {2, capacity - 2, 3}),
                       "[attention] row 1 would grow to 13 tokens, but the cache holds 12", Error);
  CHECK_THROWS_WITH_AS(
      append({2, 0, 1}, {3, 0, 1}),
      "[attention] row 0 uses cache slot 2, which is not among the slots of its devices (4 slots in 2 parts)", Error);
  CHECK_THROWS_AS(append({0, 0, 1}, {4, 0, 1}), Error);
  CHECK_THROWS_AS(append({-1, 0, 1}, {2, 0, 1}), Error);
  CHECK_THROWS_AS(append({0, 0, T + 1}, {2, 0, 1}), Error);
  CHECK_THROWS_AS(append({0, -1, 1}, {2, 0, 1}), Error);
  CHECK_THROWS_AS(append({0, 0, -1}, {2, 0, 1}), Error);
  const Segment one[] = {{0, 0, 1}};
  CHECK_THROWS_WITH_AS(append_to_cache(dev, cache, x, one), "[attention] 1 segments describe a batch of 2 rows", Error);
}

TEST_CASE("query heads that straddle key heads at run time are an error") {
  Host dev(1);
  using Heads = Shape<1, 1, dyn, W>;
  using M = Grid<1, 4>;
  const auto q =
      tensor<ShardedTensor<f32, Heads, M, P<None, None, model>, Host>>(dev, Extents<Heads>(24), random(1, 24 * W));
  const auto kv = tensor<ShardedTensor<bf16, Heads, M, P<>, Host>>(dev, Extents<Heads>(6), random(1, 6 * W));
  const Segment rows[] = {{0, 0, 1}};
  CHECK_THROWS_WITH_AS(
      attention<f32>(dev, q, kv, kv, rows, {}),
      "[attention] query_heads_straddle_key_heads: a device has 6 query heads, which are neither whole "
      "groups of 4 nor part of one",
      Error);
}

TEST_CASE("query heads that are no multiple of the key heads are an error") {
  Host dev(1);
  using Heads = Shape<1, 1, dyn, W>;
  using M = Grid<1, 1>;
  const auto q = tensor<ShardedTensor<f32, Heads, M, P<>, Host>>(dev, Extents<Heads>(6), random(1, 6 * W));
  const auto kv = tensor<ShardedTensor<bf16, Heads, M, P<>, Host>>(dev, Extents<Heads>(4), random(1, 4 * W));
  const Segment rows[] = {{0, 0, 1}};
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, kv, kv, rows, {}),
                       "[attention] 6 query heads are not a multiple of 4 key heads", Error);
}
