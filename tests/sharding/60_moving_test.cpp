// Chapter 60, moving: from any spec to any other; which collectives that takes, what they bring, and what stays.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <type_traits>

#include <tess/device/trace.hpp>
#include <tess/io/fill.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;

namespace {

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Matrix = Shape<16, 16>;
constexpr index_t whole = 16 * 16 * 4;  // bytes of a matrix of f32

template <class From, class To, class... Step>
constexpr bool goes_by = std::is_same_v<reshard_plan<Matrix, From, To, Grid>, Steps<Step...>>;

template <class To>
constexpr auto move_to = [](auto& dev, const auto& x) { return reshard<To>(dev, x); };

/// What one device receives.
template <class From, class To>
constexpr index_t bytes = trace(move_to<To>, ShardedTensor<f32, Matrix, Grid, From>{}).bytes;

template <class X, class To>
constexpr bool allowed = std::is_same_v<detail::reshard_fact<X, To>, nothing_wrong>;

template <class Spec>
using OnHost = ShardedTensor<f32, Matrix, Grid, Spec, Host>;
template <class Spec>
OnHost<Spec> numbered(Host& dev) {
  OnHost<Spec> x;
  io::fill(dev, x, [](index_t i, index_t j) { return 16 * i + j; });
  return x;
}

}  // namespace

TEST_CASE("each way that one axis can go is one collective") {
  CHECK(goes_by<P<>, P<None, model>, Slice<model, 1>>);                              // copies -> shards
  CHECK(goes_by<P<model>, P<>, AllGather<model, 0>>);                                // shards -> copies
  CHECK(goes_by<P<model>, P<None, model>, AllToAll<model, 0, 1>>);                   // one dimension -> another
  CHECK(goes_by<P<data, Partial<model>>, P<data, model>, ReduceScatter<model, 1>>);  // addends -> shards
  CHECK(goes_by<P<data, Partial<model>>, P<data>, AllReduce<model>>);                // addends -> copies
}

TEST_CASE("where specs differ in name only, nothing moves and no step runs") {
  CHECK(goes_by<P<data>, P<Axes<data>, None>>);
  CHECK(bytes<P<data>, P<Axes<data>, None>> == 0);
}

// [quote:moving]
TEST_CASE("what a device has, it keeps: slices are free and come first, so that what moves is small") {
  CHECK(bytes<P<>, P<data, model>> == 0);
  CHECK(goes_by<P<data>, P<None, model>, Slice<model, 1>, AllGather<data, 0>>);
  CHECK(bytes<P<data>, P<None, model>> == whole / 8);  // its quarter of the other half
  CHECK(bytes<P<data>, P<>> == whole / 2);             // gathering first would bring four times as much
}
// [/quote]

TEST_CASE("rows become columns by an all-to-all: a gather would bring n times as much") {
  CHECK(bytes<P<model>, P<None, model>> == whole / 4 / 4 * 3);
  CHECK(bytes<P<model>, P<>> == 4 * bytes<P<model>, P<None, model>>);
}

TEST_CASE("several axes at once are one collective") {
  CHECK(goes_by<P<Axes<data, model>>, P<None, Axes<data, model>>, AllToAll<Axes<data, model>, 0, 1>>);
  CHECK(bytes<P<Axes<data, model>>, P<None, Axes<data, model>>> == whole / 8 / 8 * 7);
}

TEST_CASE("an all-reduce is a reduce-scatter and an all-gather: who needs shards only pays half") {
  using Sum = P<data, Partial<model>>;
  CHECK(bytes<Sum, P<data>> == bytes<Sum, P<data, model>> + bytes<P<data, model>, P<data>>);
  CHECK(bytes<Sum, P<data>> == 2 * bytes<Sum, P<data, model>>);
}

TEST_CASE("a maximum is finished as a sum is") {
  CHECK(bytes<P<data, PartialMax<model>>, P<data, model>> == bytes<P<data, Partial<model>>, P<data, model>>);
  CHECK(goes_by<P<data, PartialMin<model>>, P<data>, AllReduce<model>>);
}

TEST_CASE("shards that only change places are permuted: one message each") {
  using Swapped = P<Axes<model, data>>;
  CHECK(goes_by<P<Axes<data, model>>, Swapped, Permute<P<Axes<model, data>, None>>>);
  CHECK(bytes<P<Axes<data, model>>, Swapped> == whole / 8);
}

TEST_CASE("where no chain of collectives is as short, every device asks exactly what it lacks") {
  CHECK(goes_by<P<data, model>, P<None, Axes<data, model>>, Exchange<P<None, Axes<data, model>>>>);
  CHECK(bytes<P<data, model>, P<None, Axes<data, model>>> <= whole / 8);
}

TEST_CASE("a pending sum may move as it is, but does not become a maximum") {
  using Sum = ShardedTensor<f32, Matrix, Grid, P<data, Partial<model>>>;
  CHECK(allowed<Sum, P<data>>);
  CHECK(allowed<Sum, P<None, data, Partial<model>>>);
  CHECK(!allowed<Sum, P<data, PartialMax<model>>>);
}

TEST_CASE("a whole value becomes pending for nothing: one device keeps each element, the others hold zeros") {
  CHECK(goes_by<P<data>, P<data, Partial<model>>, Pend<model>>);
  CHECK(goes_by<P<data, model>, P<data, Partial<model>>, Pend<model>>);  // zeros around the own shard
  CHECK(bytes<P<data, model>, P<data, Partial<model>>> == 0);
  // The devices over which the sum will be pending share the gathering.
  CHECK(goes_by<P<data>, P<None, None, Partial<model>>, Slice<model, 1>, AllGather<data, 0>, Pend<model>>);
  CHECK(bytes<P<data>, P<None, None, Partial<model>>> == whole / 8);
  Host dev;
  const auto x = numbered<P<data, model>>(dev);
  const auto sum = reshard<P<data, None, Partial<model>>>(dev, x);
  CHECK(io::to_vector(reduce(dev, sum)) == io::to_vector(x));
}

TEST_CASE("law: there and back is the identity, and a way by a third spec leads to the same values") {
  Host dev;
  const auto x = numbered<P<data, model>>(dev);
  const auto values = io::to_vector(x);
  const auto by = [&]<class Third>(Third) {
    return io::to_vector(reshard<P<data, model>>(dev, reshard<Third>(dev, x)));
  };
  CHECK(by(P<>{}) == values);
  CHECK(by(P<model, data>{}) == values);
  CHECK(by(P<None, Axes<model, data>>{}) == values);
  const auto direct = reshard<P<model>>(dev, x), around = reshard<P<model>>(dev, reshard<P<Axes<data, model>>>(dev, x));
  CHECK(io::to_vector(direct) == io::to_vector(around));
}

TEST_CASE("law: what Host moves is what the bill said") {
  Host dev;
  reshard<P<None, model>>(dev, numbered<P<data>>(dev));
  CHECK(dev.traffic().most_bytes() == bytes<P<data>, P<None, model>>);
}
