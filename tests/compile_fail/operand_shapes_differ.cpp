// The operands of an elementwise function have one shape: nothing is broadcast
// SPDX-License-Identifier: Apache-2.0
// expect: operands must have equal shapes
// expect: operand_shapes_differ<.*lhs<.*Shape<8, 64> *>, .*rhs<.*Shape<8, 1> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto sum(Dry& dev, Tensor<Shape<8, 64>, P<>> a, Tensor<Shape<8, 1>, P<>> column, Tensor<Shape<8, 64>, P<>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, column);
#else
  return add(dev, a, b);
#endif
}
