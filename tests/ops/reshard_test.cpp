// A reshard keeps every element on every device, and moves exactly the bytes of its bill.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/reshard.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

/// From one spec to another on Host and on Dry: same values, and as many bytes as the bill says.
template <class M, class S, class From, class To, class T = f32>
void moves(const Extents<S>& extents) {
  using X = ShardedTensor<T, S, M, From>;
  using OnHost = ShardedTensor<T, S, M, From, Host>;
  Host dev(1);
  const auto x = tensor<OnHost>(dev, extents, random(1, extents.size()));
  const auto y = reshard<To>(dev, x);
  CHECK(elements(y) == elements(x));

  Dry dry;
  reshard<To>(dry, make<X>(dry, extents));
  check_traffic(dev, dry.cost);
}

template <class... Spec>
struct List {};
/// A sample as types; tests/comm/plan_test.cpp carries out all transitions as values.
using Matrices = List<P<>, P<data>, P<None, model>, P<data, model>, P<model, data>, P<Axes<data, model>>,
                      P<Axes<model, data>>, P<None, Axes<data, model>>>;

template <class M, class S, class From, class... To>
void from(const Extents<S>& extents, List<To...>) {
  (moves<M, S, From, To>(extents), ...);
}
template <class M, class S, class... From, class Targets>
void all_pairs(const Extents<S>& extents, List<From...>, Targets targets) {
  (from<M, S, From>(extents, targets), ...);
}

}  // namespace

TEST_CASE("a tensor that is filled is read back, whatever its spec") {
  Host dev(1);
  const auto values = random(3, 12 * 18);
  const auto same = [&]<class... Spec>(List<Spec...>) {
    return ((elements(tensor<ShardedTensor<f32, Shape<12, 18>, Grid<2, 3>, Spec, Host>>(dev, {}, values)) == values) &&
            ...);
  };
  CHECK(same(Matrices{}));
}

TEST_CASE("64 transitions of a matrix on a 2x3 mesh") {
  all_pairs<Grid<2, 3>, Shape<12, 18>>({}, Matrices{}, Matrices{});
}

TEST_CASE("one device: every spec is the same placement, and nothing moves") {
  moves<Grid<1, 1>, Shape<5, 7>, P<data, model>, P<Axes<model, data>>>({});
  moves<Grid<1, 1>, Shape<5, 7>, P<Partial<data, model>>, P<None, model>>({});
}

TEST_CASE("pending sums become whole or sharded") {
  using M = Grid<2, 4>;
  moves<M, Shape<8, 16>, P<Partial<model>>, P<>>({});
  moves<M, Shape<8, 16>, P<Partial<model>>, P<data>>({});
  moves<M, Shape<8, 16>, P<data, None, Partial<model>>, P<data, model>>({});
  moves<M, Shape<8, 16>, P<data, None, Partial<model>>, P<None, data>>({});
  moves<M, Shape<8, 16>, P<Partial<data, model>>, P<>>({});
  moves<M, Shape<8, 16>, P<Partial<data, model>>, P<model, data>>({});
  moves<M, Shape<8, 16>, P<Partial<data, model>>, P<None, None, Partial<data>>>({});
  moves<M, Shape<8, 16>, P<None, model, Partial<data>>, P<Axes<model, data>>>({});
  // Whole values become addends for nothing: one device keeps each element, the others hold zeros.
  moves<M, Shape<8, 16>, P<>, P<Partial<data, model>>>({});
  moves<M, Shape<8, 16>, P<data, model>, P<data, None, Partial<model>>>({});
  moves<M, Shape<8, 16>, P<Axes<data, model>>, P<data, None, Partial<model>>>({});
  moves<M, Shape<8, 16>, P<None, None, Partial<data>>, P<None, None, Partial<model>>>({});
}

TEST_CASE("maxima and minima that are pending become whole or sharded as sums do") {
  using M = Grid<2, 4>;
  moves<M, Shape<8, 16>, P<PartialMax<model>>, P<>>({});
  moves<M, Shape<8, 16>, P<data, None, PartialMax<model>>, P<data, model>>({});
  moves<M, Shape<8, 16>, P<PartialMax<data, model>>, P<Axes<model, data>>>({});
  moves<M, Shape<8, 16>, P<PartialMin<model>>, P<>>({});
  moves<M, Shape<8, 16>, P<PartialMin<data, model>>, P<model, None, PartialMin<data>>>({});
}

TEST_CASE("parts of axes, several axes at once, and axes over hosts") {
  moves<Grid<2, 4>, Shape<8, 16>, P<data, model>, P<None, data>>({});  // in halves of model
  moves<Grid<2, 4>, Shape<8, 16>, P<None, Axes<data, model>>, P<Axes<data, model>>>({});
  moves<Grid<2, 4>, Shape<8, 16>, P<Partial<data, model>>, P<Axes<model, data>>>({});
  using Parts = Mesh<Axis<data, 2>, Axis<model, 2, 2>>;
  moves<Parts, Shape<8, 16>, P<Sub<model, 1, 2>, data>, P<model>>({});
  moves<Parts, Shape<8, 16>, P<data, Sub<model, 2, 2>>, P<Axes<Sub<model, 2, 2>, data>, Sub<model, 1, 2>>>({});
  using Hosts = Mesh<HybridAxis<data, 2, 4>>;
  moves<Hosts, Shape<512, 512>, P<Partial<data>>, P<>>({});
  moves<Hosts, Shape<8, 16>, P<data>, P<None, data>>({});
  moves<Mesh<Axis<data, 6>, Axis<model, 4>>, Shape<24, 24>, P<data, model>, P<model, data>>({});
}

TEST_CASE("any policy brings the same values, for the bytes of its own plan") {
  using M = Grid<2, 3>;
  using X = ShardedTensor<f32, Shape<12, 18>, M, P<data, model>, Host>;
  const auto values = random(1, 12 * 18);
  const auto bytes = [&]<class Policy>(Policy) {
    Host dev(1);
    CHECK(elements(reshard<P<model, data>, Policy>(dev, tensor<X>(dev, {}, values))) == values);
    Dry dry;
    reshard<P<model, data>, Policy>(dry, make<ShardedTensor<f32, Shape<12, 18>, M, P<data, model>>>(dry, {}));
    check_traffic(dev, dry.cost);
    return dry.cost.bytes;
  };
  CHECK(bytes(FewestBytes{}) < bytes(CollectivesOnly{}));
}

TEST_CASE("the mark Reduced is put on and taken off for nothing") {
  Host dev(1);
  const auto x = tensor<ShardedTensor<f32, Shape<8>, Grid<2, 4>, P<model>, Host>>(dev, {}, random(1, 8));
  const auto y = reshard<P<model, Reduced<data>>>(dev, x);
  CHECK(std::is_same_v<decltype(y)::spec, P<model, Reduced<data>>>);
  for (index_t r = 0; r < 8; ++r) CHECK(y.storage().data(r) == x.storage().data(r));
  CHECK(dev.traffic().collectives == 0);
}

TEST_CASE("an all-reduce of a size that its group does not divide counts what really moves") {
  using S = Shape<dyn, 3>;
  moves<Grid<2, 4>, S, P<data, None, Partial<model>>, P<data>>(Extents<S>(2));   // 3 elements over 4
  moves<Grid<2, 4>, S, P<data, None, Partial<model>>, P<data>>(Extents<S>(10));  // 15 over 4
  moves<Grid<1, 3>, S, P<Partial<model>>, P<>>(Extents<S>(5));                   // 15 over 3
  moves<Grid<1, 8>, S, P<Partial<model>>, P<>>(Extents<S>(1));                   // fewer elements than devices
  moves<Grid<1, 8>, S, P<Partial<model>>, P<>>(Extents<S>(0));                   // none
}

TEST_CASE("three dimensions: an axis moves past the one in the middle") {
  using M = Grid<2, 2>;
  using S = Shape<4, dyn, 8>;
  moves<M, S, P<data>, P<None, None, data>>(Extents<S>(3));
  moves<M, S, P<None, None, model>, P<model>>(Extents<S>(3));
  moves<M, S, P<data, model>, P<None, model, data>>(Extents<S>(6));
  moves<M, S, P<None, Axes<data, model>>, P<data, None, model>>(Extents<S>(8));
  moves<M, S, P<None, None, Axes<data, model>>, P<data, None, None>>(Extents<S>(1));
  moves<M, S, P<data, None, None, Partial<model>>, P<None, data, model>>(Extents<S>(2));
}

TEST_CASE("elements of two bytes, and integers, move as well as floats") {
  moves<Grid<2, 4>, Shape<8, 16>, P<data, model>, P<None, Axes<model, data>>, bf16>({});
  using Ids = ShardedTensor<i32, Shape<8>, Grid<2, 4>, P<model>, Host>;
  Host dev(1);
  const std::vector<i32> ids = {5, 4, 3, 2, 1, 0, -1, 1 << 30};
  CHECK(elements(gather<0>(dev, tensor<Ids>(dev, {}, ids))) == ids);
}

TEST_CASE("to the same placement nothing is copied: the result shares the elements") {
  Host dev(1);
  const auto x = tensor<ShardedTensor<f32, Shape<8>, Grid<1, 4>, P<model>, Host>>(dev, {}, random(1, 8));
  const auto y = reshard<P<Axes<data, model>>>(dev, x);
  for (index_t r = 0; r < 4; ++r) CHECK(y.storage().data(r) == x.storage().data(r));
}

TEST_CASE("reduce finishes every pending sum, gather makes one dimension whole") {
  Host dev(1);
  const auto x =
      tensor<ShardedTensor<f32, Shape<4, 8>, Grid<2, 4>, P<data, None, Partial<model>>, Host>>(dev, {}, random(1, 32));
  const auto sum = reduce(dev, x);
  CHECK(std::is_same_v<decltype(sum)::spec, P<data, None>>);
  auto expected = random(1, 32);
  for (f32& v : expected) v *= 1 + 2 + 3 + 4;
  CHECK(elements(sum) == expected);
  const auto whole = gather<0>(dev, sum);
  CHECK(std::is_same_v<decltype(whole)::spec, P<None, None>>);
  CHECK(elements(whole) == expected);
}

TEST_CASE("a run-time extent that does not divide over its axes is an error, not a wrong answer") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<dyn, 8>, Grid<2, 4>, P<>, Host>;
  const auto x = tensor<X>(dev, Extents<Shape<dyn, 8>>(3), random(1, 24));
  CHECK_THROWS_AS(reshard<P<data>>(dev, x), Error);
  CHECK_THROWS_AS((make<with_spec<X, P<model>>>(dev, Extents<Shape<dyn, 8>>(6))), Error);
}
