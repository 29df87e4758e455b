// A denominator is finished before one divides by it
// SPDX-License-Identifier: Apache-2.0
// expect: a / \(b \+ c\) is not a / b \+ a / c
// expect: quotient_by_a_pending_sum<.*spec<.*P<data, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto shares(Dry& dev, Tensor<Shape<8>, P<data>> x, Tensor<Shape<8>, P<data, Partial<model>>> total) {
#ifdef MUST_NOT_COMPILE
  return div(dev, x, total);
#else
  return div(dev, x, reduce(dev, total));
#endif
}
