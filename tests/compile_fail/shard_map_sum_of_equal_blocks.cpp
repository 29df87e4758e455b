// A sum over an axis along which blocks are equal would multiply them by its size
// SPDX-License-Identifier: Apache-2.0
// expect: would only multiply them by the axis size
// expect: sum_over_an_axis_of_equal_blocks<.*over<data>, .*Varying<.*> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x) {
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<None, model>>, Out<P<>>>(
      dev, [](auto x) { return psum<data, model>(x); }, x);
#else
  return shard_map<In<P<None, model>>, Out<P<>>>(
      dev, [](auto x) { return psum<model>(x); }, x);
#endif
}
