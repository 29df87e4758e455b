// The operands of an elementwise function are sharded alike in each dimension, or one of them is finer
// SPDX-License-Identifier: Apache-2.0
// expect: operands must be sharded alike
// expect: operands_are_sharded_differently<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto sum(Dry& dev, Tensor<Shape<8, 64>, P<data>> a, Tensor<Shape<8, 64>, P<model>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, b);
#else
  return add(dev, a, reshard<P<data>>(dev, b));
#endif
}
