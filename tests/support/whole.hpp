// The same operation on sharded tensors and on whole ones: the law that a sharding changes where, and not what.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tensors.hpp"

namespace support {

/// A mesh of one device: here every tensor is whole, and the numbers are what they are without any sharding.
using OneDevice = Mesh<>;

template <class X>
using Whole = ShardedTensor<typename X::value_type, typename X::shape, OneDevice, P<>, Host>;
template <class X>
using OnDry = ShardedTensor<typename X::value_type, typename X::shape, typename X::mesh, typename X::spec>;

/// A tensor on a fresh sharding, its pending parts included, and the same numbers on one device.
template <class X>
struct Pair {
  X sharded;
  Whole<X> whole;
};
template <class X>
Pair<X> pair(Host& dev, index_t seed, const Extents<typename X::shape>& extents = {}) {
  using T = typename X::value_type;
  std::vector<f32> values = random(seed, extents.size(), 4);
  if constexpr (std::is_integral_v<T>)
    for (f32& v : values) v = std::floor(v);  // -4 … 3
  const X x = tensor<X>(dev, extents, values);
  return {x, tensor<Whole<X>>(dev, extents, elements(x))};
}

/// op(dev, x...) on the sharded tensors equals op on the whole ones, up to rounding; it costs what Dry says (for a local
/// operation nothing), and lies on Host as on Dry.
template <class Op, class... X>
auto check_equals_whole(Host& dev, Op op, const Pair<X>&... x) {
  dev.reset_traffic();
  const auto y = op(dev, x.sharded...);
  Dry dry;
  const auto dry_y = op(dry, make<OnDry<X>>(dry, x.sharded.extents())...);
  static_assert(std::is_same_v<typename decltype(dry_y)::spec, typename decltype(y)::spec>);
  CHECK(dev.traffic().collectives == dry.cost.collectives);
  CHECK(dev.traffic().busiest_bytes == dry.cost.bytes);
  const auto truth = op(dev, x.whole...);
  REQUIRE(y.extents().array() == truth.extents().array());
  CHECK(error(elements(y), elements(truth)) < 2e-6);
  return y;
}
/// The same of an operation that must not move a byte.
template <class Op, class... X>
auto check_local(Host& dev, Op op, const Pair<X>&... x) {
  const auto y = check_equals_whole(dev, op, x...);
  CHECK(dev.traffic().collectives == 0);
  return y;
}

}  // namespace support
