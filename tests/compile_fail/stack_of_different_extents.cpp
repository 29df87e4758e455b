// Stacked tensors have equal extents
// SPDX-License-Identifier: Apache-2.0
// expect: joined_tensors_have_different_extents<.*dim<2>, .*lhs<.*Shape<4, 1, 8> *>, .*rhs<.*Shape<4, 1, 3> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x, Tensor<Shape<4, 3>, P<data>> y) {
#ifdef MUST_NOT_COMPILE
  return (void)y, stack<1>(dev, x, y);
#else
  return (void)y, stack<1>(dev, x, x);
#endif
}
