// Parts of a tensor: taken on the device where they lie, or refused; on every mesh the numbers of one device.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/slice.hpp>

#include "support/same_as_whole.hpp"

using namespace support;

namespace {

template <class S>
using OnOne = ShardedTensor<f32, S, OneDevice, P<>, Host>;
/// 0, 1, 2, ... as a matrix of 4 rows and 6 columns.
OnOne<Shape<4, 6>> matrix(Host& dev) {
  std::vector<f32> v(24);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<f32>(i);
  return tensor<OnOne<Shape<4, 6>>>(dev, {}, v);
}

}  // namespace

TEST_CASE("slice, index, split, split_at, unstack take what their names say") {
  Host dev(1);
  const auto x = matrix(dev);
  CHECK(numbers(slice<0, 1, 3>(dev, x)) == std::vector<f64>{6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
  CHECK(numbers(slice<1, 1, dyn, 2>(dev, x)) == std::vector<f64>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  CHECK(numbers(slice<1, 2, 2>(dev, x)).empty());
  CHECK(numbers(index<0>(dev, x, 2)) == std::vector<f64>{12, 13, 14, 15, 16, 17});
  CHECK(numbers(index<1>(dev, x, -1)) == std::vector<f64>{5, 11, 17, 23});
  const auto [left, right] = split<1, 2, 4>(dev, x);
  CHECK(numbers(left) == std::vector<f64>{0, 1, 6, 7, 12, 13, 18, 19});
  CHECK(numbers(right).size() == 16);
  const auto rows = unstack<0>(dev, x);
  CHECK(rows.size() == 4);
  CHECK(numbers(rows[3]) == std::vector<f64>{18, 19, 20, 21, 22, 23});
  CHECK_THROWS_AS(index<0>(dev, x, 4), Error);
  CHECK_THROWS_AS(index<0>(dev, x, -5), Error);
}

TEST_CASE("dynamic_slice and dynamic_update_slice move a window inside where it would stick out, as JAX does") {
  Host dev(1);
  const auto x = matrix(dev);
  CHECK(numbers(dynamic_slice<Shape<2, 2>>(dev, x, {1, 3})) == std::vector<f64>{9, 10, 15, 16});
  CHECK(numbers(dynamic_slice<Shape<2, 2>>(dev, x, {9, -3})) == std::vector<f64>{12, 13, 18, 19});
  const auto u = tensor<OnOne<Shape<1, 2>>>(dev, {}, std::vector<f32>{100, 101});
  const auto y = numbers(dynamic_update_slice(dev, x, u, {3, 7}));
  CHECK(y[22] == 100);
  CHECK(y[23] == 101);
  CHECK(y[21] == 21);
}

TEST_CASE("an extent of run time is checked at run time") {
  Host dev(1);
  const auto x = tensor<OnOne<Shape<dyn, 6>>>(dev, Extents<Shape<dyn, 6>>(4), random(1, 24));
  CHECK(slice<0, 1, 3>(dev, x).extent(0) == 2);
  CHECK(slice<0, 1, dyn>(dev, x).extent(0) == 3);
  CHECK_THROWS_AS((slice<0, 1, 5>(dev, x)), Error);
  CHECK_THROWS_AS((split<0, 2, 3>(dev, x)), Error);
  CHECK(std::get<1>(split<0, 1, 3>(dev, x)).extent(0) == 3);
  const auto [left, right] = split_at<1, 4, dyn>(dev, x, 4);
  CHECK(numbers(left) == numbers(slice<1, 0, 4>(dev, x)));
  CHECK(numbers(right) == numbers(slice<1, 4, 6>(dev, x)));
  CHECK_THROWS_AS((split_at<1, 4, dyn>(dev, x, 3)), Error);
  CHECK_THROWS_AS((split_at<1, dyn, dyn>(dev, x, 7)), Error);
  CHECK_THROWS_AS((split_at<1, dyn, dyn>(dev, x, -1)), Error);
  CHECK_THROWS_AS((dynamic_slice<Shape<5, 6>>(dev, x, {0, 0})), Error);
}

TEST_CASE("sharded slices hold what slices of the whole hold") {
  using S = Shape<12, 5, 24>;
  const specs<P<data, None, model>, P<None, None, Axes<model, data>>, P<data, None, Partial<model>>> all;
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return slice<1, 1, 4>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return slice<1, 0, 5, 3>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return index<1>(dev, x, 3); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return split<1, 2, 3>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return split_at<1, 2, 3>(dev, x, 2); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return unstack<1>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return dynamic_slice<Shape<12, 2, 24>>(dev, x, {5, 2, 9}); });
}

TEST_CASE("a slice along a sharded dimension is local where every shard finds its own part") {
  using S = Shape<12, 24>;
  // Every second element of even shards; and, from an even offset, the middle: [3, 9) of two shards of 6.
  same_as_whole<S>(specs<P<data, model>, P<None, Axes<data, model>>>{},
                   [](auto& dev, const auto& x) { return slice<1, 0, 24, 2>(dev, x); });
  same_as_whole<S>(specs<P<data, model>, P<data, Partial<model>>>{},
                   [](auto& dev, const auto& x) { return slice<0, 3, 9>(dev, x); });
}

TEST_CASE("an update goes to the shards that it falls into") {
  using S = Shape<12, 24>;
  using All = specs<pair_of_specs<P<data, model>, P<>>, pair_of_specs<P<>, P<>>,
                    pair_of_specs<P<Axes<data, model>>, P<>>, pair_of_specs<P<Partial<data>>, P<Partial<data>>>>;
  same_pair_as_whole<S, Shape<5, 7>>(All{}, [](auto& dev, const auto& x, const auto& u) {
    return dynamic_update_slice(dev, x, u, {4, 9});
  });
  same_pair_as_whole<S, Shape<12, 7>>(specs<pair_of_specs<P<None, model>, P<data>>, pair_of_specs<P<>, P<data>>,
                                            pair_of_specs<P<data>, P<Axes<data, model>>>>{},
                                      [](auto& dev, const auto& x, const auto& u) {
                                        return dynamic_update_slice(dev, x, u, {0, 13});
                                      });
}
