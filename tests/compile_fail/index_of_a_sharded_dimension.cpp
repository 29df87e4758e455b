// One position of a sharded dimension is on one device only
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*index>, .*dim<0>, .*extent<4>, .*over<data>, .*spec<.*P<data, .*None> *>
#include <tess/device/dry.hpp>
#include <tess/ops/slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return index<0>(dev, x, 3);
#else
  return index<1>(dev, x, 3);
#endif
}
