// Padding with anything but zeros would be added up by the devices of a pending sum; JAX gives 2 for 1
// SPDX-License-Identifier: Apache-2.0
// expect: operation_on_a_pending_value<.*operation<.*pad>, .*spec<.*P<data, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/pad.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, None, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return pad<1, 0, 8>(dev, x, 1.0f);
#else
  return pad<1, 0, 8>(dev, x);
#endif
}
