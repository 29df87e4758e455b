// The target of a reshard is a spec that the tensor can have
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_does_not_divide<.*dim<0>, .*extent<6>, .*over<model>, .*into<4>, .*sizes_that_work<4, 8>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto move(Dry& dev, Tensor<Shape<6, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return reshard<P<model>>(dev, x);
#else
  return reshard<P<None, model>>(dev, x);
#endif
}
