// A number may turn a maximum into a minimum, so a pending maximum is not multiplied
// SPDX-License-Identifier: Apache-2.0
// expect: only a function that never falls, or never rises
// expect: function_of_a_pending_maximum<.*spec<.*P<data, .*PartialMax<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto scaled(Dry& dev, Tensor<Shape<8>, P<data, PartialMax<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return mul(dev, x, 2);
#else
  return mul(dev, reduce(dev, x), 2);
#endif
}
