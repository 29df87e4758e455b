// Values at the edges: NaN, infinities, integers and their overflow give on shards what they give on one device.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/io/fill.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/softmax.hpp>
#include <tess/ops/sort.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct model;
using Two = Mesh<Axis<model, 2>>;
template <class T, class S, class Spec>
using Tensor = ShardedTensor<T, S, Two, Spec, Host>;

constexpr f32 not_a_number = std::numeric_limits<f32>::quiet_NaN(), infinity = std::numeric_limits<f32>::infinity();
constexpr i32 highest = std::numeric_limits<i32>::max(), lowest = std::numeric_limits<i32>::min();

/// A row of elements over two devices.
template <class T, class... V>
auto row(Host& dev, V... v) {
  using X = Tensor<T, Shape<static_cast<index_t>(sizeof...(V))>, P<model>>;
  return tensor<X>(dev, {}, std::vector<T>{static_cast<T>(v)...});
}
template <class X>
auto whole(Host& dev, const X& x) {
  return reshard<P<>>(dev, x);
}

}  // namespace

TEST_CASE("NaN wins in a pending maximum or minimum, whichever device holds it") {
  Host dev(1);
  for (const bool first : {true, false}) {
    const auto x =
        first ? row<f32>(dev, not_a_number, 1.0f, 2.0f, 3.0f) : row<f32>(dev, 1.0f, 2.0f, 3.0f, not_a_number);
    CHECK(std::isnan(elements(reduce(dev, max<0>(dev, x)))[0]));
    CHECK(std::isnan(elements(reduce(dev, min<0>(dev, x)))[0]));
    CHECK(elements(argmax_sharded<0>(dev, x))[0] == (first ? 0 : 3));
    CHECK(elements(argmax<0>(dev, whole(dev, x)))[0] == (first ? 0 : 3));
  }
}

TEST_CASE("logsumexp of a line of -inf is -inf, and of +inf +inf, sharded or not") {
  Host dev(1);
  for (const f32 v : {-infinity, infinity}) {
    const auto x = row<f32>(dev, v, v, v, v);
    CHECK(elements(logsumexp_sharded<0>(dev, x))[0] == v);
    CHECK(elements(logsumexp<0>(dev, whole(dev, x)))[0] == v);
  }
}

TEST_CASE("functions that leave the integers give f32") {
  Host dev(1);
  const auto x = row<i32>(dev, 1, 2, 3, 4);
  CHECK(elements(reduce(dev, mean<0>(dev, x)))[0] == 2.5f);
  CHECK(elements(mean<0>(dev, whole(dev, x)))[0] == 2.5f);
  CHECK(elements(var<0>(dev, whole(dev, x)))[0] == 1.25f);
  CHECK(elements(exp(dev, x))[0] == doctest::Approx(2.7182817f));
}

TEST_CASE("integer division cuts off, and does not trap: x / 0 is -1, as in XLA") {
  Host dev(1);
  const auto x = row<i32>(dev, 7, -7, lowest, 5), y = row<i32>(dev, 2, 2, -1, 0);
  CHECK(elements(div(dev, x, y)) == std::vector<i32>{3, -3, lowest, -1});
  CHECK(elements(sub(dev, x, 1u)) == (std::vector<i32>{6, -8, highest, 4}));
}

TEST_CASE("what would be cut off each part of a pending sum waits for the sum") {
  using Sum = Tensor<i32, Shape<4>, P<None, Partial<model>>>;
  using Over4 = std::type_identity_t<detail::in_type_of_first<fn::Over<i32>, i32, i32>>;
  CHECK(!Mappable<Over4, Sum>);
  CHECK(Mappable<fn::Times<i32>, Sum>);
}

TEST_CASE("a cast to integers gives the nearest there is, and 0 for NaN") {
  Host dev(1);
  const auto x = row<f32>(dev, not_a_number, 1e10f, -1e10f, -2.75f);
  CHECK(elements(cast<i32>(dev, x)) == std::vector<i32>{0, highest, lowest, -2});
}

TEST_CASE("truth values are sorted like numbers") {
  Host dev(1);
  Tensor<bool, Shape<3, 2>, P<None, model>> x = make<decltype(x)>(dev, {});
  for (index_t r = 0; r < 2; ++r)
    for (index_t i = 0; i < 3; ++i) x.storage().data(r)[i] = i + r == 1;
  const auto y = sort<0>(dev, x);
  for (index_t r = 0; r < 2; ++r)
    for (index_t i = 0; i < 3; ++i) CHECK(y.storage().data(r)[i] == (i == 2));
}

TEST_CASE("much is cut off as fast as little") {
  Host dev(1);
  const auto x = make<Tensor<f32, Shape<1'000'000>, P<>>>(dev, {});
  x.storage().data(0)[500'000] = 3, x.storage().data(0)[999'999] = 4;
  const auto y = pad<0, -500'000, 0>(dev, x);
  CHECK(y.extent(0) == 500'000);
  CHECK(y.storage().data(0)[0] == 3);
  CHECK(y.storage().data(0)[499'999] == 4);
}
