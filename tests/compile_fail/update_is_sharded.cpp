// An update lies whole on every device in the dimensions in which it is shorter
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*dynamic_update_slice>, .*dim<1>, .*extent<4>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/dynamic_slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x, Tensor<Shape<4, 4>, P<data, model>> u,
       Tensor<Shape<4, 4>, P<data>> v) {
#ifdef MUST_NOT_COMPILE
  return (void)v, dynamic_update_slice(dev, x, u, {0, 2});
#else
  return (void)u, dynamic_update_slice(dev, x, v, {0, 2});
#endif
}
