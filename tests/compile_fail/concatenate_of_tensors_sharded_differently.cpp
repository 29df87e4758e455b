// Joined tensors are sharded alike, or one is finer
// SPDX-License-Identifier: Apache-2.0
// expect: joined_tensors_are_sharded_differently<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/concatenate.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x, Tensor<Shape<4, 3>, P<model>> y) {
#ifdef MUST_NOT_COMPILE
  return concatenate<1>(dev, x, y);
#else
  return concatenate<1>(dev, x, reshard<P<data>>(dev, y));
#endif
}
