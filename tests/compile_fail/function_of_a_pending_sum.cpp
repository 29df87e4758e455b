// A pending sum is finished before a function is applied to it
// SPDX-License-Identifier: Apache-2.0
// expect: f\(a \+ b\) is not f\(a\) \+ f\(b\)
// expect: function_of_a_pending_sum<.*spec<.*P<.*None, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto squares(Dry& dev, Tensor<Shape<8, 64>, P<Partial<model>>> x) {
  const auto square = [](f32 v) { return v * v; };
#ifdef MUST_NOT_COMPILE
  return map<f32>(dev, square, x);
#else
  return map<f32>(dev, square, reduce(dev, x));
#endif
}
