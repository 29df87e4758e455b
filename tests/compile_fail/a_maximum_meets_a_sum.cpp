// A pending maximum and a pending sum do not go together
// SPDX-License-Identifier: Apache-2.0
// expect: or a sum meets a maximum
// expect: operands_are_pending_differently<.*lhs<.*PartialMax<model> *> *>, .*rhs<.*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<PartialMax<model>>> a, Tensor<Shape<8, 64>, P<Partial<model>>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, b);
#else
  return add(dev, a, reduce(dev, b));  // max(a) + b = max(a + b)
#endif
}
