// Only an extent of 1 is repeated
// SPDX-License-Identifier: Apache-2.0
// expect: operand_shapes_differ<.*lhs<.*Shape<8, 64> *>, .*rhs<.*Shape<8, 128> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/create.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto twice(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return broadcast_to<Shape<8, 128>>(dev, x);
#else
  return broadcast_to<Shape<2, 8, 64>>(dev, x);
#endif
}
