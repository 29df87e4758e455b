// In a ppermute every device receives from at most one other
// SPDX-License-Identifier: Apache-2.0
// expect: sends to at most one and receives from at most one
// expect: device_sends_or_receives_twice<.*Send<1, 1>, .*over<data> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto passed_on(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return ppermute<data, Send<0, 1>, Send<1, 1>>(x); };
#else
  const auto body = [](auto x) { return ppermute<data, Send<0, 1>, Send<1, 0>>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
