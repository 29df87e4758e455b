// A running sum over a sharded dimension needs what the devices before have: a composition that says so
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*cumsum>, .*dim<1>, .*extent<8>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return cumsum<1>(dev, x);
#else
  return cumsum_sharded<1>(dev, x);
#endif
}
