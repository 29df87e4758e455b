// Functions of whole lines, and their forms for sharded ones, whose bill is known before and equals the bytes moved.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include <tess/device/trace.hpp>
#include <tess/ops/one_hot.hpp>
#include <tess/ops/sort.hpp>

#include "support/same_as_whole.hpp"

using namespace support;

namespace {

template <class S, class T = f32>
using OnOne = ShardedTensor<T, S, OneDevice, P<>, Host>;
constexpr f64 no_number = std::numeric_limits<f64>::quiet_NaN();

}  // namespace

TEST_CASE("sort and argsort are stable and ascending, top_k is descending, cumsum adds up") {
  Host dev(1);
  const auto x = filled<OnOne<Shape<2, 4>>>(dev, {3, 1, 3, -2, 0, 5, 5, 5});
  CHECK(numbers(sort<1>(dev, x)) == std::vector<f64>{-2, 1, 3, 3, 0, 5, 5, 5});
  CHECK(numbers(argsort<1>(dev, x)) == std::vector<f64>{3, 1, 0, 2, 0, 1, 2, 3});
  CHECK(numbers(sort<0>(dev, x)) == std::vector<f64>{0, 1, 3, -2, 3, 5, 5, 5});
  const auto top = top_k<1, 2>(dev, x);
  CHECK(numbers(top.values) == std::vector<f64>{3, 3, 5, 5});
  CHECK(numbers(top.indices) == std::vector<f64>{0, 2, 1, 2});
  CHECK(numbers(cumsum<1>(dev, x)) == std::vector<f64>{3, 4, 7, 5, 0, 5, 10, 15});
  CHECK(numbers(cumsum<0>(dev, x)) == std::vector<f64>{3, 1, 3, -2, 3, 6, 8, 3});
  const auto ids = filled<OnOne<Shape<3>, i32>>(dev, {2, 0, 3});
  CHECK(numbers(sort<0>(dev, ids)) == std::vector<f64>{0, 2, 3});
  CHECK(numbers(one_hot<3>(dev, ids)) == std::vector<f64>{0, 0, 1, 1, 0, 0, 0, 0, 0});
}

TEST_CASE("NaN is behind all numbers, and the first of the largest") {
  Host dev(1);
  const auto x = filled<OnOne<Shape<4>>>(dev, {no_number, 2, -1, no_number});
  CHECK(numbers(argsort<0>(dev, x)) == std::vector<f64>{2, 1, 0, 3});
  CHECK(numbers(top_k<0, 3>(dev, x).indices) == std::vector<f64>{0, 3, 1});
}

TEST_CASE("cumsum of bf16 adds in f32 and rounds every element once") {
  Host dev(1);
  const auto x = filled<OnOne<Shape<300>, bf16>>(dev, std::vector<f64>(300, 1));
  CHECK(numbers(cumsum<0>(dev, x)).back() == f32(bf16(300.0f)));  // adding in bf16 would stay at 256
}

TEST_CASE("along a whole dimension nothing moves") {
  using S = Shape<12, 7, 24>;
  const specs<P<data, None, model>, P<None, None, Axes<model, data>>> all;
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return sort<1>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return argsort<1>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return top_k<1, 3>(dev, x); });
  same_as_whole<S>(specs<P<data, None, model>, P<data, None, Partial<model>>>{},
                   [](auto& dev, const auto& x) { return cumsum<1>(dev, x); });
  same_as_whole<Shape<12, 24>, i32>(specs<P<data, model>, P<None, Axes<data, model>>>{},
                                    [](auto& dev, const auto& ids) { return one_hot<9>(dev, ids); });
}

namespace {

/// The composition on a sharded dimension gives what the operation gives on one device, for the bytes that Dry
/// foretells.
template <class X, class Composed, class Plain>
void check_composition(Composed composed, Plain plain, const Cost& bill) {
  Host dev(1);
  auto values = noisy(11, Extents<typename X::shape>{}.size(), false);
  for (f64& v : values) v = std::floor(v * 16);  // many ties
  const auto expected = numbers(plain(dev, filled<Whole<X>>(dev, times(values, addends_of<X>()))));
  const auto x = filled<X>(dev, values);
  dev.reset_traffic();
  CHECK(numbers(composed(dev, x)) == expected);
  CHECK(dev.traffic().collectives == bill.collectives);
  CHECK(dev.traffic().most_bytes() == bill.bytes);
}
constexpr auto top_three_of_shards = [](auto& dev, const auto& x) { return top_k_sharded<1, 3>(dev, x); };
constexpr auto top_three = [](auto& dev, const auto& x) { return top_k<1, 3>(dev, x); };
constexpr auto sums_of_shards = [](auto& dev, const auto& x) { return cumsum_sharded<1>(dev, x); };
constexpr auto sums = [](auto& dev, const auto& x) { return cumsum<1>(dev, x); };

}  // namespace

TEST_CASE("top_k of a sharded dimension gathers k candidates a device, not the dimension") {
  using X = ShardedTensor<f32, Shape<4, 24>, TwoByTwo, P<data, model>, Host>;
  // Each of 2 devices receives 3 values and 3 indices of 2 rows.
  constexpr Cost bill = trace(top_three_of_shards, Billed<X>{});
  static_assert(bill.collectives == 2 && bill.bytes == 2 * 3 * (4 + 4));
  static_assert(
      trace([](auto& dev, const auto& x) { return top_k<1, 3>(dev, gather<1>(dev, x)); }, Billed<X>{}).bytes ==
      2 * 12 * 4);
  check_composition<X>(top_three_of_shards, top_three, bill);

  using Y = ShardedTensor<f32, Shape<4, 36>, TwoByThree, P<None, Axes<model, data>>, Host>;
  check_composition<Y>(top_three_of_shards, top_three, trace(top_three_of_shards, Billed<Y>{}));
  using Z = ShardedTensor<f32, Shape<4, 24>, OneByFour, P<data, model>, Host>;
  check_composition<Z>(top_three_of_shards, top_three, trace(top_three_of_shards, Billed<Z>{}));
}

TEST_CASE("cumsum of a sharded dimension gathers one total a device") {
  using X = ShardedTensor<f32, Shape<4, 24>, TwoByTwo, P<data, model>, Host>;
  constexpr Cost bill = trace(sums_of_shards, Billed<X>{});
  static_assert(bill.collectives == 1 && bill.bytes == 2 * 1 * 4);
  static_assert(std::is_same_v<decltype(sums_of_shards(std::declval<Dry&>(), Billed<X>{}))::spec, P<data, model>>);
  check_composition<X>(sums_of_shards, sums, bill);

  using Y = ShardedTensor<f32, Shape<4, 24, 2>, TwoByThree, P<None, Axes<model, data>, None>, Host>;
  check_composition<Y>(sums_of_shards, sums, trace(sums_of_shards, Billed<Y>{}));
  using Pending =
      ShardedTensor<f32, Shape<4, 24>, TwoByThree, P<None, model, Partial<data>>, Host>;  // linear: stays so
  using Short = ShardedTensor<bf16, Shape<2, 24>, TwoByTwo, P<data, model>, Host>;        // totals are f32
  check_composition<Short>(sums_of_shards, sums, trace(sums_of_shards, Billed<Short>{}));
  check_composition<Pending>(sums_of_shards, sums, trace(sums_of_shards, Billed<Pending>{}));
}

TEST_CASE("run-time extents have as many elements as are asked for") {
  Host dev(1);
  using X = OnOne<Shape<dyn>>;
  CHECK_THROWS_AS((top_k<0, 3>(dev, make<X>(dev, Extents<Shape<dyn>>(2)))), Error);
}
