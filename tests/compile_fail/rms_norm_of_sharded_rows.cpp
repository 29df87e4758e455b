// rms_norm needs whole rows; where they are spread, the form with its bill says so
// SPDX-License-Identifier: Apache-2.0
// expect: a function of whole rows needs the last dimension unsharded
// expect: rows_are_not_whole<.*spec<.*P<data, model> *>, .*dim<1> *>
#include <tess/device/dry.hpp>
#include <tess/ops/rms_norm.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto norm(Dry& dev, Tensor<Shape<8, 64>, P<data, model>> x, Tensor<Shape<64>, P<>> scale) {
#ifdef MUST_NOT_COMPILE
  return rms_norm<f32>(dev, x, scale, 1e-5f);
#else
  return rms_norm_sharded<f32>(dev, x, scale, 1e-5f);  // an all-reduce of one f32 a row
#endif
}
