// A mark Reduced on one operand and not on the other would let their gradients lie differently
// SPDX-License-Identifier: Apache-2.0
// expect: one operand is marked Reduced over an axis and the other is not
// expect: operands_are_marked_reduced_differently<.*lhs<.*P<.*None, .*None, .*Reduced<model> *> *>, .*rhs<.*P<.*None, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<Reduced<model>>> a, Tensor<Shape<8, 64>, P<>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, b);
#else
  return add(dev, a, reshard<P<Reduced<model>>>(dev, b));  // free
#endif
}
