// One tensor behind the other along a sharded dimension would move elements of both
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*concatenate>, .*dim<0>, .*extent<4>, .*over<data>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x, Tensor<Shape<4, 8>, P<None, model>> y) {
#ifdef MUST_NOT_COMPILE
  return (void)y, concatenate<0>(dev, x, x);
#else
  return (void)x, concatenate<0>(dev, y, y);
#endif
}
