// Functions of elements: shard by shard what they are on the whole, rounded once.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/elementwise.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 3>>;
using S = Shape<dyn, 66>;
template <class Spec, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;
constexpr index_t rows = 4, size = rows * 66;

}  // namespace

TEST_CASE("map applies a function to every element, whatever the spec") {
  Host dev(2);
  const auto a = random(1, size), b = random(2, size);
  std::vector<f32> expected;
  for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] * b[i] + 1);
  const auto check = [&](auto spec) {
    using T = X<decltype(spec)>;
    const Extents<S> extents(rows);
    const auto y = map<f32>(
        dev, [](f32 u, f32 v) { return u * v + 1; }, tensor<T>(dev, extents, a), tensor<T>(dev, extents, b));
    CHECK(error(elements(y), expected) < 1e-7);
  };
  check(P<>{});
  check(P<data, model>{});
  check(P<None, Axes<model, data>>{});
}

TEST_CASE("cast rounds to nearest even, and back is exact") {
  Host dev(1);
  const auto values = random(1, size, 1.2345);
  const auto x = tensor<X<P<data, model>>>(dev, Extents<S>(rows), values);
  const auto narrow = elements(cast<bf16>(dev, x));
  const auto back = elements(cast<f32>(dev, cast<bf16>(dev, x)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(narrow[i].bits == bf16(values[i]).bits);
    REQUIRE(back[i] == f32(bf16(values[i])));
  }
}

TEST_CASE("a sum of bf16 is taken in f32 and rounded once") {
  Host dev(1);
  const auto a = random(1, size), b = random(2, size, 0.01);
  using T = X<P<data>, bf16>;
  const auto y = elements(add(dev, tensor<T>(dev, Extents<S>(rows), a), tensor<T>(dev, Extents<S>(rows), b)));
  for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i].bits == bf16(f32(bf16(a[i])) + f32(bf16(b[i]))).bits);
}

TEST_CASE("a bias is added to every row, shard by shard") {
  Host dev(1);
  const auto x = random(1, size), bias = random(2, 66);
  auto expected = x;
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] += bias[i % 66];
  const auto b = tensor<ShardedTensor<f32, Shape<66>, M, P<model>, Host>>(dev, {}, bias);
  CHECK(elements(add_bias(dev, tensor<X<P<data, model>>>(dev, Extents<S>(rows), x), b)) == expected);
}

TEST_CASE("select_token takes one token of every row, by its number in the whole batch") {
  Host dev(1);
  const auto values = random(1, 4 * 3 * 6);
  const auto x = tensor<ShardedTensor<f32, Shape<4, 3, 6>, M, P<data, None, model>, Host>>(dev, {}, values);
  const index_t last[] = {2, 0, 1, 2};
  std::vector<f32> expected;
  for (index_t b = 0; b < 4; ++b)
    for (index_t i = 0; i < 6; ++i) expected.push_back(values[static_cast<std::size_t>((b * 3 + last[b]) * 6 + i)]);
  CHECK(elements(select_token(dev, x, [&](index_t b) { return last[b]; })) == expected);
  using Empty = ShardedTensor<f32, Shape<4, 0, 6>, M, P<data>, Host>;
  CHECK_THROWS_WITH_AS(select_token(dev, make<Empty>(dev, Extents<Empty::shape>{}), [](index_t) { return 0; }),
                       "[select_token] a row has no token", Error);
}

TEST_CASE("run-time extents that differ are errors that name them") {
  Host dev(1);
  const auto a = tensor<X<P<>>>(dev, Extents<S>(2), random(1, 2 * 66)),
             b = tensor<X<P<>>>(dev, Extents<S>(3), random(1, 3 * 66));
  CHECK_THROWS_WITH_AS(add(dev, a, b), "[elementwise] operand_shapes_differ: dimension 0 has extents 2 and 3", Error);
  const auto bias = tensor<ShardedTensor<f32, Shape<dyn>, M, P<>, Host>>(dev, Extents<Shape<dyn>>(65), random(1, 65));
  CHECK_THROWS_WITH_AS(add_bias(dev, a, bias), "[elementwise] operand_shapes_differ: dimension 1 has extents 66 and 65",
                       Error);
}
