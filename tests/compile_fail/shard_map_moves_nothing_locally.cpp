// What a device does locally moves no bytes
// SPDX-License-Identifier: Apache-2.0
// expect: this device lacks the verb that the operation needs
// expect: device_has_no<.*verb<.*verbs::collective>, .*device<.*OneDevice> *>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto there_and_back(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto op = [](auto& one, const auto& t) { return gather<0>(one, reshard<P<data>>(one, t)); };
#else
  const auto op = [](auto& one, const auto& t) { return add(one, t, t); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(
      dev, [=](auto x) { return locally(op, x); }, x);
}
