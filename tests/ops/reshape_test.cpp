// Reshapes move nothing: every device keeps its bytes and only reads them with other extents.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/reshape.hpp>

#include "support/same_as_whole.hpp"

using namespace support;

namespace {

using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using S = Shape<dyn, 3, 24>;
template <class Spec>
using X = ShardedTensor<f32, S, M, Spec, Host>;

}  // namespace

TEST_CASE("a split tensor has the same elements in the same order, on the same devices") {
  Host dev(1);
  const auto values = random(1, 4 * 3 * 24);
  const auto check = [&](auto spec) {
    const auto x = tensor<X<decltype(spec)>>(dev, Extents<S>(4), values);
    const auto heads = split<2, 8, 3>(x, 8);
    CHECK(elements(heads) == values);
    CHECK(heads.extents().array() == std::array<index_t, 4>{4, 3, 8, 3});
    CHECK(elements(merge<2>(heads)) == values);
    for (index_t r = 0; r < M::size; ++r) CHECK(heads.storage().data(r) == x.storage().data(r));
  };
  check(P<>{});
  check(P<data, None, model>{});
  check(P<None, None, Axes<model, data>>{});
}

TEST_CASE("merging leading dimensions") {
  Host dev(1);
  const auto values = random(1, 4 * 3 * 24);
  const auto rows = merge<0>(tensor<X<P<data, None, model>>>(dev, Extents<S>(4), values));
  CHECK(rows.extents().array() == std::array<index_t, 2>{12, 24});
  CHECK(elements(rows) == values);
}

TEST_CASE("sizes that only run time tells must fit") {
  Host dev(1);
  const auto x = tensor<X<P<>>>(dev, Extents<S>(1), random(1, 72));
  CHECK(elements(split<2, dyn, dyn>(x, 6)) == elements(x));
  CHECK_THROWS_WITH_AS((split<2, dyn, dyn>(x, 7)),
                       "[reshape] dimension 2 of extent 24 does not split into 7 equal parts of the declared size",
                       Error);
  CHECK_THROWS_AS((split<2, dyn, 4>(x, 8)), Error);  // 8 parts of 3, not of 4
  CHECK_THROWS_AS((split<2, 8, 3>(x, 6)), Error);    // declared 8 parts
  CHECK_THROWS_AS((split<2, dyn, dyn>(x, 0)), Error);
  const auto sharded = tensor<X<P<None, None, model>>>(dev, Extents<S>(1), random(1, 72));
  CHECK_THROWS_AS((split<2, dyn, dyn>(sharded, 6)), Error);  // 6 heads on 4 devices
  CHECK(elements(split<2, dyn, dyn>(sharded, 8)) == elements(sharded));
}

TEST_CASE("any local reshape has the elements of one device, in the same order") {
  const auto check = [](auto x, auto... to) {
    Host dev(1);
    const auto values = noisy(3, decltype(x)::shape::size, false);
    const auto sharded = filled<decltype(x)>(dev, values);
    const auto same = [&](auto y) {
      CHECK(numbers(y) == values);
      CHECK(y.storage().data(0) == sharded.storage().data(0));
    };
    (same(reshape<decltype(to)>(sharded)), ...);
  };
  check(ShardedTensor<f32, Shape<12, 24>, TwoByThree, P<data, None>, Host>{}, Shape<288>{}, Shape<2, 6, 24>{},
        Shape<24, 12>{}, Shape<4, 72>{});
  check(ShardedTensor<f32, Shape<2, 3, 24>, TwoByThree, P<data, model, None>, Host>{}, Shape<144>{}, Shape<6, 24>{},
        Shape<2, 72>{}, Shape<2, 6, 12>{}, Shape<12, 12>{});
  check(ShardedTensor<f32, Shape<8, 24>, TwoByTwo, P<Axes<model, data>, None>, Host>{}, Shape<2, 2, 2, 24>{},
        Shape<4, 48>{}, Shape<2, 96>{});
}

TEST_CASE("run-time extents: the compiler says where the axes go, and the run checks it") {
  Host dev(1);
  const auto values = random(1, 4 * 3 * 24);
  const auto x = tensor<X<P<data, None, model>>>(dev, Extents<S>(4), values);
  const auto rows = reshape<Shape<dyn, 24>>(x);
  static_assert(std::is_same_v<decltype(rows)::spec, P<data, model>>);
  CHECK(rows.extent(0) == 12);
  CHECK(elements(rows) == values);
  using E = Extents<Shape<dyn, dyn, 8, 3>>;
  const auto heads = reshape(x, E(2, 6));
  CHECK(elements(heads) == values);
  CHECK_THROWS_AS(reshape(x, E(3, 4)), Error);  // 3 rows on 2 devices
  CHECK_THROWS_AS(reshape(x, E(2, 5)), Error);  // loses elements
  const auto whole = tensor<X<P<>>>(dev, Extents<S>(4), values);
  CHECK_THROWS_AS((reshape<Shape<dyn, 7>>(whole)), Error);
  CHECK(elements(reshape<Shape<dyn, 9>>(whole)) == values);
}
