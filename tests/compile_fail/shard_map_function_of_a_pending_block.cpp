// A function of a pending sum is not the pending sum of the function
// SPDX-License-Identifier: Apache-2.0
// expect: f\(a \+ b\) is not f\(a\) \+ f\(b\)
// expect: function_of_a_pending_block<.*over<data>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto squares(Dry& dev, Tensor<Shape<8, 64>, P<Partial<data>>> x) {
  const auto square = [](f32 v) { return v * v; };
#ifdef MUST_NOT_COMPILE
  const auto body = [=](auto x) { return psum<data>(map(square, x)); };
#else
  const auto body = [=](auto x) { return map(square, psum<data>(x)); };
#endif
  return shard_map<In<P<Partial<data>>>, Out<P<>>>(dev, body, x);
}
