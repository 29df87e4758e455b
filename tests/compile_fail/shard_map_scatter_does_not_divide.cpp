// What psum_scatter scatters divides over the axis
// SPDX-License-Identifier: Apache-2.0
// expect: must divide evenly over the mesh axes
// expect: dimension_does_not_divide<.*dim<1>, .*extent<6>, .*over<model>, .*into<4>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto summed(Dry& dev, Tensor<Shape<8, 24>, P<None, model>> x) {
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<None, model>>, Out<P<None, model>>>(
      dev, [](auto x) { return psum_scatter<1, model>(x); }, x);
#else
  return shard_map<In<P<None, model>>, Out<P<model>>>(
      dev, [](auto x) { return psum_scatter<0, model>(x); }, x);
#endif
}
