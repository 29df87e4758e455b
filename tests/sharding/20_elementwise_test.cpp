// Elementwise functions: operands meet where they lie. Equal specs, or one finer than the other; sizes of 1 stretch.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/create.hpp>
#include <tess/ops/elementwise.hpp>

#include "support/whole.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t A, index_t B>
using Grid = Mesh<Axis<data, A>, Axis<model, B>>;

template <class M, class Spec, class S = Shape<12, 24>, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;

/// Two specs of the operands, and that of the sum.
template <class A, class B, class Y>
struct Meet {};

template <class M, class A, class B, class Y>
void check(Host& dev, Meet<A, B, Y>) {
  const auto a = pair<X<M, A>>(dev, 1);
  const auto b = pair<X<M, B>>(dev, 2);
  const auto y = check_local(
      dev, [](auto& d, const auto& u, const auto& v) { return add(d, u, v); }, a, b);
  static_assert(std::is_same_v<typename decltype(y)::spec, normal_form<Y, M, 2>>);
}

}  // namespace

TEST_CASE_TEMPLATE(
    "the finer spec wins, dimension by dimension, because a device slices its part out of a coarser shard", M,
    Grid<2, 2>, Grid<1, 4>, Grid<2, 3>) {
  Host dev(1);
  check<M>(dev, Meet<P<data, model>, P<data, model>, P<data, model>>{});  // equal
  check<M>(dev, Meet<P<>, P<None, data>, P<None, data>>{});               // one is whole
  check<M>(dev, Meet<P<data>, P<None, model>, P<data, model>>{});         // each is whole in the other's dimension
  check<M>(dev, Meet<P<Axes<data, model>>, P<data>, P<Axes<data, model>>>{});
  check<M>(dev, Meet<P<None, model>, P<None, Axes<model, data>>, P<None, Axes<model, data>>>{});
}

TEST_CASE_TEMPLATE("extents of 1 stretch, and shapes are aligned at their last dimension", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto product = [](auto& d, const auto& u, const auto& v) { return mul(d, u, v); };
  const auto x = pair<X<M, P<data>>>(dev, 1);
  check_local(dev, product, x, pair<X<M, P<model>, Shape<24>>>(dev, 2));  // [12, 24] · [24]
  check_local(dev, product, x, pair<X<M, P<>, Shape<12, 1>>>(dev, 3));    // [12, 24] · [12, 1]
  check_local(dev, product, x, pair<X<M, P<>, Shape<>>>(dev, 4));         // a scalar
  check_local(dev, product, pair<X<M, P<data>, Shape<12, 1>>>(dev, 5),
              pair<X<M, P<None, model>, Shape<1, 24>>>(dev, 6));
  const auto y = check_local(dev, product, pair<X<M, P<model>, Shape<24>>>(dev, 7),
                             pair<X<M, P<None, data, None>, Shape<2, 12, 1>>>(dev, 8));
  static_assert(std::is_same_v<typename decltype(y)::spec, P<None, data, model>>);  // [24] · [2, 12, 1] -> [2, 12, 24]
  static_assert(std::is_same_v<typename decltype(y)::shape, Shape<2, 12, 24>>);
}

TEST_CASE_TEMPLATE("every function of elements, sharded, is the function", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto x = pair<X<M, P<data>>>(dev, 1);
  const auto y = pair<X<M, P<None, model>>>(dev, 2);
  const auto unary = [&](auto op) { check_local(dev, op, x); };
  const auto binary = [&](auto op) { check_local(dev, op, x, y); };
  unary([](auto& d, const auto& a) { return neg(d, a); });
  unary([](auto& d, const auto& a) { return exp(d, a); });
  unary([](auto& d, const auto& a) { return tanh(d, a); });
  unary([](auto& d, const auto& a) { return clamp(d, -1, a, 0.5); });
  unary([](auto& d, const auto& a) { return reduce_precision<5, 2>(d, a); });
  unary([](auto& d, const auto& a) { return add(d, mul(d, div(d, a, 3), 2), 1); });
  unary([](auto& d, const auto& a) { return cast<f32>(d, cast<bf16>(d, a)); });
  unary([](auto& d, const auto& a) { return cast<i32>(d, a); });
  unary([](auto& d, const auto& a) { return cast<f64>(d, a); });
  binary([](auto& d, const auto& a, const auto& b) { return sub(d, a, b); });
  binary([](auto& d, const auto& a, const auto& b) { return div(d, a, exp(d, b)); });
  binary([](auto& d, const auto& a, const auto& b) { return maximum(d, a, b); });
  binary([](auto& d, const auto& a, const auto& b) { return minimum(d, a, b); });
}

TEST_CASE_TEMPLATE("where takes a mask that is whole, or sharded as finely as it likes", M, Grid<2, 2>, Grid<1, 4>) {
  Host dev(1);
  const auto a = pair<X<M, P<data>>>(dev, 1), b = pair<X<M, P<data>>>(dev, 2);
  const auto choose = [](auto& d, const auto& m, const auto& u, const auto& v) {
    return where(d, cast<bool>(d, m), u, v);
  };
  check_local(dev, choose, pair<X<M, P<>, Shape<24>, i32>>(dev, 3), a, b);
  const auto y = check_local(dev, choose, pair<X<M, P<None, model>, Shape<12, 24>, i32>>(dev, 4), a, b);
  static_assert(std::is_same_v<typename decltype(y)::spec, P<data, model>>);
}

TEST_CASE("numbers keep their precision: i32 and f64 are computed as they are, bf16 in f32 and rounded once") {
  Host dev(1);
  using M = Grid<2, 2>;
  const std::vector<index_t> large{16777217, 2, 3, 4};  // 2^24 + 1 is no f32
  const auto n = tensor<X<M, P<data>, Shape<4>, i32>>(dev, {}, large);
  CHECK(elements(add(dev, n, n)) == std::vector<i32>{33554434, 4, 6, 8});
  CHECK(elements(add(dev, n, 1)) == std::vector<i32>{16777218, 3, 4, 5});
  const auto wide = tensor<X<M, P<model>, Shape<2>, f64>>(dev, {}, std::vector<f64>{1 + 1e-12, 2});
  CHECK(elements(mul(dev, wide, wide))[0] == (1 + 1e-12) * (1 + 1e-12));
}

TEST_CASE("full and iota are made where they are wanted, by nobody's bytes") {
  Host dev(1);
  using M = Grid<2, 3>;
  CHECK(elements(full<f32, Shape<4, 6>, M, P<data, model>>(dev, 2.5f)) == std::vector<f32>(24, 2.5f));
  CHECK(elements(iota<i32, Shape<6>, M, P<Axes<model, data>>>(dev)) == std::vector<i32>{0, 1, 2, 3, 4, 5});
  CHECK(elements(iota<i32, Shape<2, 3>, M, P<data, model>, 1>(dev)) == std::vector<i32>{0, 1, 2, 0, 1, 2});
  CHECK(dev.traffic().collectives == 0);
}

TEST_CASE_TEMPLATE("a broadcast repeats what a device has", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const auto x = pair<X<M, P<data, model>>>(dev, 1);
  const auto y = check_local(
      dev, [](auto& d, const auto& a) { return broadcast_in_dim<Shape<12, 2, 24>, 0, 2>(d, a); }, x);
  static_assert(std::is_same_v<typename decltype(y)::spec, P<data, None, model>>);
  check_local(
      dev, [](auto& d, const auto& a) { return broadcast_to<Shape<3, 12, 24>>(d, a); }, x);
  check_local(
      dev, [](auto& d, const auto& a) { return broadcast_to<Shape<12, 24>>(d, a); },
      pair<X<M, P<data>, Shape<12, 1>>>(dev, 2));
  check_local(
      dev, [](auto& d, const auto& a) { return broadcast_in_dim<Shape<4>>(d, a); }, pair<X<M, P<>, Shape<>>>(dev, 3));
}

TEST_CASE_TEMPLATE("extents that only the run knows broadcast and slice as numbers do", M, Grid<2, 2>, Grid<2, 3>) {
  Host dev(1);
  const Extents<Shape<dyn, 24>> rows(12);
  const auto x = pair<X<M, P<data>, Shape<dyn, 24>>>(dev, 1, rows);
  const auto y = pair<X<M, P<None, model>, Shape<dyn, 24>>>(dev, 2, rows);
  const auto sum = [](auto& d, const auto& u, const auto& v) { return add(d, u, v); };
  const auto z = check_local(dev, sum, x, y);
  static_assert(std::is_same_v<typename decltype(z)::shape, Shape<dyn, 24>>);
  check_local(dev, sum, x, pair<X<M, P<>, Shape<1, 24>>>(dev, 3));
  check_local(dev, sum, pair<X<M, P<model>, Shape<dyn>>>(dev, 4, Extents<Shape<dyn>>(24)), x);
  const auto other = tensor<X<M, P<>, Shape<dyn, 24>>>(dev, Extents<Shape<dyn, 24>>(6), random(5, 6 * 24));
  CHECK_THROWS_WITH_AS(add(dev, x.sharded, other),
                       "[elementwise] operand_shapes_differ: dimension 0 has extents 12 and 6", Error);
}
