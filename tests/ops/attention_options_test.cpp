// Windows, sinks and values of another width than keys: against a plain softmax in f64, on every mesh; and their bills.
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

constexpr index_t B = 4, T = 5, HQ = 8, HK = 4, W = 15, WV = 33, slots = 4, capacity = 150;
using QueryShape = Shape<dyn, dyn, HQ, W>;
using CacheShape = Shape<dyn, dyn, HK, W>;
using ValueShape = Shape<dyn, dyn, HK, WV>;

/// Rows with 0 to 5 new tokens after 0 to 140 old ones, each in a slot of its own half of the cache.
constexpr Segment ragged[] = {{1, 0, 5}, {0, 140, 3}, {3, 62, 4}, {2, 4, 0}};

/// softmax over the scores that are seen and the head's sink, times the values: values [.., stride], of which `width` count.
std::vector<f64> truth(const std::vector<f32>& q, const std::vector<f32>& k, const std::vector<f32>& v, index_t width,
                       index_t stride, AttentionOptions o, const std::vector<f32>& sinks) {
  std::vector<f64> y;
  for (index_t b = 0; b < B; ++b)
    for (index_t t = 0; t < ragged[b].count; ++t)
      for (index_t h = 0; h < HQ; ++h) {
        const index_t last = ragged[b].start + t;
        std::vector<f64> mixed(static_cast<std::size_t>(width));
        f64 sum = sinks.empty() ? 0 : std::exp(static_cast<f64>(sinks[static_cast<std::size_t>(h)]));
        for (index_t s = 0; s <= last; ++s) {
          if (o.window > 0 && last - s >= o.window) continue;
          const index_t line = (ragged[b].slot * capacity + s) * HK + h / (HQ / HK);
          f64 score = 0;
          for (index_t i = 0; i < W; ++i)
            score += static_cast<f64>(q[static_cast<std::size_t>(((b * T + t) * HQ + h) * W + i)]) *
                     static_cast<f64>(k[static_cast<std::size_t>(line * W + i)]);
          const f64 weight = std::exp(score * static_cast<f64>(o.scale));
          sum += weight;
          for (index_t i = 0; i < width; ++i)
            mixed[static_cast<std::size_t>(i)] +=
                weight * static_cast<f64>(v[static_cast<std::size_t>(line * stride + i)]);
        }
        for (const f64 m : mixed) y.push_back(m / sum);
      }
  return y;
}

/// Without the tokens that are padding.
template <class V>
std::vector<V> real_tokens(const std::vector<V>& y, index_t width) {
  std::vector<V> kept;
  for (index_t b = 0; b < B; ++b)
    kept.insert(kept.end(), y.begin() + b * T * HQ * width, y.begin() + (b * T + ragged[b].count) * HQ * width);
  return kept;
}

template <class M, class Spec, class CacheSpec, class HeadSpec>
void attends(AttentionOptions options, f32 sinks_around) {
  CAPTURE(M::size);
  Host dev(2);
  const Extents<CacheShape> key_extents(slots, capacity);
  const Extents<ValueShape> value_extents(slots, capacity);
  const auto q = random(1, B * T * HQ * W, 3), k = random(2, key_extents.size(), 2),
             v = random(3, value_extents.size());
  auto s = random(4, HQ);
  for (f32& sink : s) sink += sinks_around;
  const auto query = tensor<ShardedTensor<f32, QueryShape, M, Spec, Host>>(dev, Extents<QueryShape>(B, T), q);
  const auto keys = tensor<ShardedTensor<f32, CacheShape, M, CacheSpec, Host>>(dev, key_extents, k);
  const auto values = tensor<ShardedTensor<f32, ValueShape, M, CacheSpec, Host>>(dev, value_extents, v);
  const auto sinks = tensor<ShardedTensor<f32, Shape<HQ>, M, HeadSpec, Host>>(dev, {}, s);

  const auto wide = attention<f32>(dev, query, keys, values, ragged, options);
  static_assert(decltype(wide)::shape::extents[3] == WV);
  CHECK(error(real_tokens(elements(wide), WV), truth(q, k, v, WV, WV, options, {})) < 2e-6);

  const auto sunk = elements(attention<f32>(dev, query, keys, values, ragged, options, sinks));
  CHECK(error(real_tokens(sunk, WV), truth(q, k, v, WV, WV, options, s)) < 2e-6);

  const auto of_keys = attention<f32>(dev, query, keys, KeyColumns<11>{}, ragged, options, sinks);
  CHECK(error(real_tokens(elements(of_keys), 11), truth(q, k, k, 11, W, options, s)) < 2e-6);
  const auto at_run_time = attention<f32>(dev, query, keys, KeyColumns<dyn>{11}, ragged, options, sinks);
  CHECK(elements(at_run_time) == elements(of_keys));
  CHECK(dev.traffic().collectives == 0);
}

constexpr index_t bytes_read(index_t window, bool values_in_keys) {
  using M = Grid<2, 2>;
  Dry dev;
  const auto q = make<ShardedTensor<f32, QueryShape, M, P<data, None, model>>>(dev, Extents<QueryShape>(B, T));
  const auto k =
      make<ShardedTensor<f32, CacheShape, M, P<data, None, model>>>(dev, Extents<CacheShape>(slots, capacity));
  const auto v =
      make<ShardedTensor<f32, ValueShape, M, P<data, None, model>>>(dev, Extents<ValueShape>(slots, capacity));
  if (values_in_keys) attention<f32>(dev, q, k, KeyColumns<11>{}, ragged, {1, 0, window});
  else attention<f32>(dev, q, k, v, ragged, {1, 0, window});
  return dev.cost.work[0].cache_bytes;
}
constexpr index_t flops(index_t window) {
  Dry dev;
  using M = Grid<1, 1>;
  const auto q = make<ShardedTensor<f32, QueryShape, M, P<>>>(dev, Extents<QueryShape>(B, T));
  const auto k = make<ShardedTensor<f32, CacheShape, M, P<>>>(dev, Extents<CacheShape>(slots, capacity));
  const auto v = make<ShardedTensor<f32, ValueShape, M, P<>>>(dev, Extents<ValueShape>(slots, capacity));
  attention<f32>(dev, q, k, v, ragged, {1, 0, window});
  return dev.cost.flops;
}
/// Pairs of a query and a key that it sees, one by one.
constexpr index_t pairs(index_t window) {
  index_t n = 0;
  for (const Segment& row : ragged)
    for (index_t t = row.start; t < row.start + row.count; ++t)
      for (index_t s = 0; s <= t; ++s) n += window == 0 || t - s < window;
  return n;
}

}  // namespace

TEST_CASE("windows, sinks and widths, on any mesh, and no byte moves") {
  for (const index_t window : {0, 1, 3, 64, 100, 149})
    for (const f32 sink : {0.0f, 60.0f}) {
      CAPTURE(window);
      CAPTURE(sink);
      const AttentionOptions options{0.25f, 0, window};
      attends<Grid<1, 1>, P<>, P<>, P<>>(options, sink);
      attends<Grid<2, 2>, P<data, None, model>, P<data, None, model>, P<model>>(options, sink);
    }
  const AttentionOptions options{0.25f, 0, 8};
  attends<Grid<2, 1>, P<data>, P<data>, P<>>(options, 1);
  attends<Grid<1, 4>, P<None, None, model>, P<None, None, model>, P<model>>(options, 1);
  attends<Grid<2, 4>, P<data, None, model>, P<data>, P<model>>(options, 1);
  using Paired = Mesh<Axis<data, 1>, Axis<model, 4, 2>>;
  attends<Paired, P<None, None, model>, P<None, None, Sub<model, 1, 4>>, P<model>>(options, 1);
}

TEST_CASE("the bill has the pairs that meet, keys and values that are seen, and columns of the keys once") {
  static_assert(flops(0) == 2 * pairs(0) * HQ * (W + WV));
  static_assert(flops(1) == 2 * pairs(1) * HQ * (W + WV));
  static_assert(flops(64) == 2 * pairs(64) * HQ * (W + WV));
  static_assert(flops(1000) == flops(0));
  // of two rows a device the busier: 5 + 143 keys, or in a window of 8 those of 5 queries and 3 + 7
  static_assert(bytes_read(0, false) == (5 + 143) * (HK / 2) * (W + WV) * 4);
  static_assert(bytes_read(8, false) == (5 + 3 + 7) * (HK / 2) * (W + WV) * 4);
  static_assert(bytes_read(0, true) == (5 + 143) * (HK / 2) * W * 4);
}

TEST_CASE("widths, windows and sinks that do not fit are errors that say how") {
  Host dev(1);
  using M = Grid<1, 1>;
  const Segment row[] = {{0, 0, 1}};
  using Any = ShardedTensor<f32, Shape<1, 1, dyn, dyn>, M, P<>, Host>;
  const auto make_one = [&](index_t heads, index_t width) {
    return tensor<Any>(dev, Extents<typename Any::shape>(heads, width), random(1, heads * width));
  };
  const auto q = make_one(4, 8), k = make_one(2, 8), v = make_one(2, 6);
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, v, v, row, {}),
                       "[attention] queries of width 8 meet keys of width 6 with values of width 6", Error);
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, k, KeyColumns<9>{}, row, {}),
                       "[attention] queries of width 8 meet keys of width 8 with values of width 9", Error);
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, k, v, row, {1, 0, -1}), "[attention] a window of -1 tokens", Error);
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, k, KeyColumns<0>{}, row, {}), "[attention] values of width 0", Error);
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, k, make_one(1, 6), row, {}),
                       "[attention] dimension 2 of the cached keys has extent 2, of the values 1", Error);
  auto narrow = make_one(2, 6);
  CHECK_THROWS_WITH_AS(append_to_cache(dev, narrow, k, row),
                       "[attention] 2 heads of width 8 are written to a cache of 2 heads of width 6", Error);
  const auto sinks = tensor<ShardedTensor<f32, Shape<dyn>, M, P<>, Host>>(dev, Extents<Shape<dyn>>(3), random(1, 3));
  CHECK_THROWS_WITH_AS(attention<f32>(dev, q, k, v, row, {}, sinks), "[attention] 3 sinks for 4 query heads", Error);
}

TEST_CASE("values that turn in pairs are an even number within the head") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<1, 1, 1, 12>, Grid<1, 1>, P<>, Host>;
  const auto x = tensor<X>(dev, {}, random(1, 12));
  const Segment row[] = {{0, 3, 1}};
  CHECK_NOTHROW(rotary<f32>(dev, x, row, {.first = 4, .width = 8}));
  CHECK_THROWS_WITH_AS(rotary<f32>(dev, x, row, {.first = 6, .width = 8}),
                       "[rotary] 8 values from 6 on turn in pairs, but a head has 12", Error);
  CHECK_THROWS_AS(rotary<f32>(dev, x, row, {.width = 3}), Error);
  CHECK_THROWS_AS(rotary<f32>(dev, x, row, {.first = 5}), Error);
  const Segment two[] = {{0, 3, 1}, {1, 0, 1}};
  CHECK_THROWS_WITH_AS(rotary<f32>(dev, x, two), "[rotary] 2 segments describe a batch of 1 rows", Error);
  using Nothing = ShardedTensor<f32, Shape<1, 1, 2, 0>, Grid<1, 1>, P<>, Host>;
  CHECK_NOTHROW(rotary<f32>(dev, make<Nothing>(dev, Extents<Shape<1, 1, 2, 0>>{}), row));
}

TEST_CASE("options of which no frequencies come are refused") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<1, 1, 1, 12>, Grid<1, 1>, P<>, Host>;
  const auto x = tensor<X>(dev, {}, random(1, 12));
  const Segment row[] = {{0, 3, 1}};
  using enum RotaryScaling;
  CHECK_NOTHROW(rotary<f32>(dev, x, row, {.scaling = yarn, .factor = 4, .original_positions = 64}));
  CHECK_THROWS_WITH_AS(rotary<f32>(dev, x, row, {.base = 0}), doctest::Contains("no frequencies come of these options"),
                       Error);
  for (const RotaryOptions& o : {RotaryOptions{.base = -2},
                                 {.scaling = linear, .factor = 0},
                                 {.magnitude = -1},
                                 {.base = 1, .scaling = yarn, .original_positions = 64},
                                 {.scaling = yarn, .factor = 4},
                                 {.scaling = llama3, .factor = 8},
                                 {.scaling = yarn, .original_positions = 64, .beta_slow = 0},
                                 {.scaling = llama3, .original_positions = 64, .low_frequency = 4}})
    CHECK_THROWS_AS(rotary<f32>(dev, x, row, o), Error);
}
