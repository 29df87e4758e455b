// The addends of a sum are multiplied by one factor, not by one each
// SPDX-License-Identifier: Apache-2.0
// expect: multiplied by what is equal on all devices
// expect: pending_block_times_a_varying_one<.*over<data>, .*Varying<.*Partial<data> *>, .*Varying<data> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto scaled(Dry& dev, Tensor<Shape<4, 64>, P<Partial<data>>> x, Tensor<Shape<8, 64>, P<data>> y) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x, auto y) { return psum<data>(x * y); };
#else
  const auto body = [](auto x, auto y) { return psum<data>(psum<data>(x) * y); };
#endif
  return shard_map<In<P<Partial<data>>, P<data>>, Out<P<>>>(dev, body, x, y);
}
