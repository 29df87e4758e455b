// The halves of a sharded width lie on different devices
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*rotate_half>, .*dim<1>, .*extent<8>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/roll.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x, Tensor<Shape<4, 8>, P<data>> y) {
#ifdef MUST_NOT_COMPILE
  return (void)y, rotate_half(dev, x);
#else
  return (void)x, rotate_half(dev, y);
#endif
}
