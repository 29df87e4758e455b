// Extents of operands are equal, or 1; a half does not repeat
// SPDX-License-Identifier: Apache-2.0
// expect: operands must have equal shapes, or extents of 1 that stretch
// expect: operand_shapes_differ<.*lhs<.*Shape<8, 64> *>, .*rhs<.*Shape<8, 32> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto sum(Dry& dev, Tensor<Shape<8, 64>, P<>> a, Tensor<Shape<8, 32>, P<>> half, Tensor<Shape<8, 1>, P<>> column) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, half);
#else
  return add(dev, a, column);
#endif
}
