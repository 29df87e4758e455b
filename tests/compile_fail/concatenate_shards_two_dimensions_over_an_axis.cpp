// Tensors that are sharded over one axis in different dimensions do not go together
// SPDX-License-Identifier: Apache-2.0
// expect: joined_tensors_are_sharded_differently<.*lhs<.*P<data, .*None, .*None> *>, .*rhs<.*P<.*None, .*None, data> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8, 2>, P<data>> x, Tensor<Shape<4, 3, 2>, P<None, None, data>> y,
       Tensor<Shape<4, 3, 2>, P<>> z) {
#ifdef MUST_NOT_COMPILE
  return (void)z, concatenate<1>(dev, x, y);
#else
  return (void)y, concatenate<1>(dev, x, z);
#endif
}
