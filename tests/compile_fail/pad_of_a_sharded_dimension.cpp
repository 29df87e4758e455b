// Padding along a sharded dimension shifts elements to other devices: pad first, then shard
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*pad>, .*dim<1>, .*extent<8>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/pad.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return pad<1, 0, 4>(dev, x);
#else
  return reshard<P<data, model>>(dev, pad<1, 0, 4>(dev, gather<1>(dev, x)));
#endif
}
