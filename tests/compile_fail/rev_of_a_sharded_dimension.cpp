// A sharded dimension backwards lies on the devices in the other order
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*rev>, .*dim<1>, .*extent<8>, .*over<model>, .*spec<.*P<data, model, .*None> *>
#include <tess/device/dry.hpp>
#include <tess/ops/roll.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8, 2>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return rev<2, 1>(dev, x);
#else
  return rev<2>(dev, x);
#endif
}
