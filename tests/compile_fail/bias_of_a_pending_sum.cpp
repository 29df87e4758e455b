// A bias is not added to a pending sum: every device would add it
// SPDX-License-Identifier: Apache-2.0
// expect: finished_value_meets_a_pending_sum<.*lhs<.*P<.*None, .*None, .*Partial<model> *> *>, .*rhs<.*P<.*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto biased(Dry& dev, Tensor<Shape<8, 64>, P<Partial<model>>> x, Tensor<Shape<64>, P<>> bias) {
#ifdef MUST_NOT_COMPILE
  return add_bias(dev, x, bias);
#else
  return add_bias(dev, reduce(dev, x), bias);
#endif
}
