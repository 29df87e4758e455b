// Joined tensors live on one mesh and have one element type
// SPDX-License-Identifier: Apache-2.0
// expect: tensors live on one mesh and have one element type
// expect: joined_tensors_are_of_different_kinds<.*lhs<.*ShardedTensor<.*(float|f32), .*rhs<.*ShardedTensor<.*bf16
#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>
#include <tess/ops/elementwise.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class T, class S, class Spec>
using Tensor = ShardedTensor<T, S, M, Spec>;

auto f(Dry& dev, Tensor<f32, Shape<4, 8>, P<data>> x, Tensor<bf16, Shape<4, 3>, P<data>> y) {
#ifdef MUST_NOT_COMPILE
  return concatenate<1>(dev, x, y);
#else
  return concatenate<1>(dev, x, cast<f32>(dev, y));
#endif
}
