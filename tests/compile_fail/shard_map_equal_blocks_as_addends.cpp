// Equal blocks as addends of a pending sum would count once a device
// SPDX-License-Identifier: Apache-2.0
// expect: as addends of a pending sum they would count once a device
// expect: equal_blocks_are_no_addends<.*over<model>, .*Varying<data> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto pending(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return psum<model>(ppartial<model>(x)); };
#else
  const auto body = [](auto x) { return psum<model>(ppartial<model>(pvary<model>(x))); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
