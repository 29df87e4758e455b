// What is unstacked along a dimension would lie on one device each
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*(unstack|index)>, .*dim<0>, .*extent<4>, .*over<data>, .*spec<.*P<data, .*None> *>
#include <tess/device/dry.hpp>
#include <tess/ops/slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x, Tensor<Shape<4, 8>, P<None, model>> y) {
#ifdef MUST_NOT_COMPILE
  return (void)y, unstack<0>(dev, x);
#else
  return (void)x, unstack<0>(dev, y);
#endif
}
