// Structure: a reshape reads digits, and what works along a dimension needs it whole. Nothing moves, or it is refused.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/device/host.hpp>
#include <tess/ops/concatenate.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/roll.hpp>
#include <tess/ops/slice.hpp>
#include <tess/sharding/device_slice.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
const MeshValue mesh = mesh_value<M>;

template <class Spec, class From, class To>
rules::ReshapeVerdict reshaped() {
  return rules::reshape(mesh, rules::shape_value<From>, spec_value<Spec, M, From::rank>, rules::shape_value<To>);
}
template <class Spec, class S>
SpecValue as_value = spec_value<Spec, M, S::rank>;

template <class S, class Spec>
using X = ShardedTensor<f32, S, M, Spec, Host>;
template <class X>
X counted(Host& dev) {
  std::vector<f32> v;
  for (index_t i = 0; i < X::shape::size; ++i) v.push_back(static_cast<f32>(i));
  return tensor<X>(dev, {}, v);
}
/// What device r holds.
template <class X>
std::vector<f32> shard(const X& x, index_t r) {
  return {x.storage().data(r), x.storage().data(r) + x.local_extents().size()};
}

}  // namespace

TEST_CASE("an element of [4, 8] P<data, None> has the digits data (2), then 2 · 8 = 16 of its device") {
  // [32] takes both: device 0 of `data` keeps 0 ... 15, one run.
  const auto flat = reshaped<P<data>, Shape<4, 8>, Shape<32>>();
  CHECK(flat.fault == rules::ReshapeFault::none);
  CHECK(flat.result == as_value<P<data>, Shape<32>>);
  // [8, 4] takes `data` and 4 of the 16; the other 4 remain. JAX refuses this: it neither merges nor splits.
  CHECK(reshaped<P<data>, Shape<4, 8>, Shape<8, 4>>().result == as_value<P<data>, Shape<8, 4>>);
  // [2, 16] takes `data`, and nothing of the 16.
  CHECK(reshaped<P<data>, Shape<4, 8>, Shape<2, 16>>().result == as_value<P<data>, Shape<2, 16>>);
}

// [quote:reshape]
TEST_CASE("an axis behind a part of a dimension cannot be read off: JAX hides an all-to-all here") {
  // [4, 4] P<data, model> has the digits data, 2, model, 2. [16] would have to take them all, but a device's elements
  // are no run: device (0, 1) holds columns 2 and 3 of rows 0 and 1.
  Host dev(1);
  const auto x = counted<X<Shape<4, 4>, P<data, model>>>(dev);
  CHECK(shard(x, 1) == std::vector<f32>{2, 3, 6, 7});
  const auto refused = reshaped<P<data, model>, Shape<4, 4>, Shape<16>>();
  CHECK(refused.fault == rules::ReshapeFault::not_local);
  CHECK(refused.dimension == 0);
  // With one row on each device there is no digit between the axes.
  CHECK(reshaped<P<data, model>, Shape<2, 8>, Shape<16>>().result == as_value<P<Axes<data, model>>, Shape<16>>);
  CHECK(shard(reshape<Shape<16>>(counted<X<Shape<2, 8>, P<data, model>>>(dev)), 1) == std::vector<f32>{4, 5, 6, 7});
}

TEST_CASE("heads: the axis goes to whole heads, or the reshape is refused") {
  using Wide = Mesh<Axis<model, 16>>;
  const auto heads = [](index_t count) {
    return rules::split(mesh_value<Wide>, spec_value<P<None, model>, Wide, 2>, 1, 1024, count, 1024 / count).fault;
  };
  CHECK(heads(48 / 3) == rules::ReshapeFault::none);
  CHECK(heads(8) == rules::ReshapeFault::not_local);  // 64 columns are half a head
}
// [/quote]

TEST_CASE("along a whole dimension a device has all it needs; along a sharded one it may still have its own part") {
  Host dev(1);
  const auto x = counted<X<Shape<2, 8>, P<data, model>>>(dev);
  // Every second column of even shards, and the middle of two: each device finds its part in its own shard.
  CHECK(shard(slice<1, 0, 8, 2>(dev, x), 1) == std::vector<f32>{4, 6});
  CHECK(shard(slice<1, 2, 6>(dev, x), 1) == std::vector<f32>{4, 5});
  // The left half is on one device of two: refused, where JAX moves it.
  using left_half =
      tess::detail::slicing_fact<operations::slice, decltype(counted<X<Shape<2, 8>, P<data, model>>>(dev)), 1, 0, 4, 1>;
  CHECK_FALSE(std::is_same_v<left_half, nothing_wrong>);
  CHECK(shard(slice<1, 0, 4>(dev, gather<1>(dev, x)), 1) == std::vector<f32>{0, 1, 2, 3});
}

TEST_CASE("joined tensors meet in the finer spec: a device takes its slice of the coarser one, for free") {
  Host dev(1);
  const auto a = counted<X<Shape<4, 2>, P<data, None>>>(dev);
  const auto b = counted<X<Shape<4, 1>, P<None, None>>>(dev);
  const auto y = concatenate<1>(dev, a, b);
  static_assert(std::is_same_v<decltype(y)::spec, P<data, None>>);
  CHECK(shard(y, 2) == std::vector<f32>{4, 5, 2, 6, 7, 3});
  CHECK(dev.traffic().most_bytes() == 0);
}

TEST_CASE("what only moves elements acts on addends one by one: a pending sum stays pending") {
  Host dev(1);
  const auto x = counted<X<Shape<4>, P<None, Partial<model>>>>(dev);  // addends x and 2x
  const auto y = rev<0>(dev, x);
  static_assert(std::is_same_v<decltype(y)::spec, P<None, Partial<model>>>);
  CHECK(elements(reduce(dev, y)) == std::vector<f32>{9, 6, 3, 0});
}
