// The devices of a ppermute are numbered along its axis
// SPDX-License-Identifier: Apache-2.0
// expect: numbered from 0 to its size - 1
// expect: no_such_device_along_the_axis<.*Send<0, 2>, .*over<data>, .*extent<2> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto passed_on(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return ppermute<data, Send<0, 2>>(x); };
#else
  const auto body = [](auto x) { return ppermute<data, Send<0, 1>>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
