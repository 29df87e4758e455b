// Dimensions and elements in another order: on every mesh the numbers of one device, and no byte moves.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/roll.hpp>
#include <tess/ops/transpose.hpp>

#include "support/same_as_whole.hpp"

using namespace support;

namespace {

template <class S, class T = f32>
using OnOne = ShardedTensor<T, S, OneDevice, P<>, Host>;

}  // namespace

TEST_CASE("transpose, rev, roll, rotate_half put elements where numpy puts them") {
  Host dev(1);
  const auto x = filled<OnOne<Shape<2, 4>>>(dev, {0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(numbers(transpose<1, 0>(dev, x)) == std::vector<f64>{0, 4, 1, 5, 2, 6, 3, 7});
  CHECK(numbers(transpose<0, 1>(dev, x)) == numbers(x));
  CHECK(numbers(rev<1>(dev, x)) == std::vector<f64>{3, 2, 1, 0, 7, 6, 5, 4});
  CHECK(numbers(rev<0, 1>(dev, x)) == std::vector<f64>{7, 6, 5, 4, 3, 2, 1, 0});
  CHECK(numbers(roll<1>(dev, x, 1)) == std::vector<f64>{3, 0, 1, 2, 7, 4, 5, 6});
  CHECK(numbers(roll<1>(dev, x, -5)) == std::vector<f64>{1, 2, 3, 0, 5, 6, 7, 4});
  CHECK(numbers(roll<0>(dev, x, 4)) == numbers(x));
  CHECK(numbers(rotate_half(dev, x)) == std::vector<f64>{-2, -3, 0, 1, -6, -7, 4, 5});
  const auto cube = filled<OnOne<Shape<2, 1, 3>, bf16>>(dev, {0, 1, 2, 3, 4, 5});
  CHECK(numbers(transpose<2, 0, 1>(dev, cube)) == std::vector<f64>{0, 3, 1, 4, 2, 5});
  CHECK(numbers(rev<2>(dev, cube)) == std::vector<f64>{2, 1, 0, 5, 4, 3});
  CHECK_THROWS_AS(rotate_half(dev, cube), Error);
}

TEST_CASE("transposing twice by inverse orders is the identity") {
  Host dev(2);
  const auto values = noisy(5, 12 * 5 * 24 * 2, false);
  using X = ShardedTensor<f32, Shape<12, 5, 24, 2>, TwoByThree, P<data, None, model, None>, Host>;
  const auto x = filled<X>(dev, values);
  const auto y = transpose<3, 1, 0, 2>(dev, x);
  static_assert(std::is_same_v<decltype(y)::spec, P<None, None, data, model>>);
  const auto back = transpose<2, 1, 3, 0>(dev, y);
  static_assert(std::is_same_v<std::remove_const_t<decltype(back)>, X>);
  CHECK(numbers(back) == values);
}

TEST_CASE("sharded or pending, the numbers are those of one device") {
  using S = Shape<12, 6, 24>;
  const specs<P<data, None, model>, P<None, None, Axes<model, data>>, P<data, None, Partial<model>>> all;
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return transpose<2, 0, 1>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return rev<1>(dev, x); });
  same_as_whole<S>(all, [](auto& dev, const auto& x) { return roll<1>(dev, x, 2); });
  same_as_whole<Shape<12, 24, 6>>(specs<P<data, model>, P<Axes<model, data>>, P<data, None, None, Partial<model>>>{},
                                  [](auto& dev, const auto& x) { return rotate_half(dev, x); });
}
