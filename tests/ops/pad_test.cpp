// Elements added or cut off: always asked for, and only where no other device has a part in it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/pad.hpp>

#include "support/same_as_whole.hpp"

using namespace support;

namespace {

template <class S>
using OnOne = ShardedTensor<f32, S, OneDevice, P<>, Host>;

}  // namespace

TEST_CASE("pad puts elements before, behind and between, and cuts off") {
  Host dev(1);
  const auto x = filled<OnOne<Shape<4>>>(dev, {1, 2, 3, 4});
  CHECK(numbers(pad<0, 1, 2>(dev, x)) == std::vector<f64>{0, 1, 2, 3, 4, 0, 0});
  CHECK(numbers(pad<0, 1, 0, 2>(dev, x, 9)) == std::vector<f64>{9, 1, 9, 9, 2, 9, 9, 3, 9, 9, 4});
  CHECK(numbers(pad<0, -1, -2>(dev, x)) == std::vector<f64>{2});
  CHECK(numbers(pad<0, -1, 1, 1>(dev, x)) == std::vector<f64>{0, 2, 0, 3, 0, 4, 0});
  CHECK(numbers(pad<0, 3, -5>(dev, x)) == std::vector<f64>{0, 0});
  CHECK(numbers(pad_to_multiple<0, 3>(dev, x)) == std::vector<f64>{1, 2, 3, 4, 0, 0});
  CHECK(numbers(pad_to_multiple<0, 3>(dev, x, 7)) == std::vector<f64>{1, 2, 3, 4, 7, 7});
  CHECK(pad_to_multiple<0, 4>(dev, x).storage().data(0) == x.storage().data(0));
}

TEST_CASE("an extent of run time is padded at run time") {
  Host dev(1);
  using X = OnOne<Shape<dyn>>;
  X x = make<X>(dev, Extents<Shape<dyn>>(5));
  for (index_t i = 0; i < 5; ++i) x.storage().data(0)[i] = static_cast<f32>(i);
  CHECK(numbers(pad_to_multiple<0, 4>(dev, x, -1)) == std::vector<f64>{0, 1, 2, 3, 4, -1, -1, -1});
  CHECK(pad_to_multiple<0, 5>(dev, x).extent(0) == 5);
  CHECK(pad<0, 1, 1>(dev, x).extent(0) == 7);
  CHECK_THROWS_AS((pad<0, -3, -3>(dev, x)), Error);
}

TEST_CASE("a sharded tensor is padded where it is whole, and a pending sum with zeros") {
  using S = Shape<12, 5, 24>;
  const specs<P<data, None, model>, P<None, None, Axes<model, data>>, P<data, None, Partial<model>>> all;
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return pad<1, 2, 1, 1>(dev, x); });
  same_as_whole<S>(specs<P<data, None, model>>{}, [](auto& dev, const auto& x) { return pad<1, -1, 3>(dev, x, 2); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return pad_to_multiple<1, 8>(dev, x); });
}

TEST_CASE("along a sharded dimension every device may get its own elements and padding only") {
  using S = Shape<12, 24>;
  // 2 before and 2 behind of two shards: each gets 2 and keeps its own; and every element followed by one of padding.
  same_as_whole<S>(specs<P<data, model>, P<data, None, Partial<model>>>{},
                   [](auto& dev, const auto& x) { return pad<0, 2, 2>(dev, x); });
  same_as_whole<S>(specs<P<None, Axes<data, model>>>{},
                   [](auto& dev, const auto& x) { return pad<1, 0, 1, 1>(dev, x, 3); });
}

TEST_CASE("padding makes an axis usable: 25 heads on 8 devices") {
  using M = Mesh<Axis<model, 8>>;
  using Heads = ShardedTensor<f32, Shape<3, 25>, M, P<>, Host>;
  Host dev(1);
  const auto values = noisy(3, 75, false);
  const auto padded = pad_to_multiple<1, 8>(dev, filled<Heads>(dev, values));
  static_assert(std::is_same_v<decltype(padded)::shape, Shape<3, 32>>);
  static_assert(Shardable<decltype(padded)::shape, P<None, model>, M> && !Shardable<Heads::shape, P<None, model>, M>);
}
