// A pending sum is finished before it is normalised
// SPDX-License-Identifier: Apache-2.0
// expect: function_of_a_pending_sum<.*spec<.*P<.*None, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/rms_norm.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto norm(Dry& dev, Tensor<Shape<8, 64>, P<Partial<model>>> x, Tensor<Shape<64>, P<>> scale) {
#ifdef MUST_NOT_COMPILE
  return rms_norm<f32>(dev, x, scale, 1e-5f);
#else
  return rms_norm<f32>(dev, reduce(dev, x), scale, 1e-5f);
#endif
}
