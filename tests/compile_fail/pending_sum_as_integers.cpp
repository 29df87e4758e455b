// The parts of a pending sum lose their fractions, and the sum is wrong
// SPDX-License-Identifier: Apache-2.0
// expect: cutting the fractions off its parts is not cutting off that of the sum
// expect: cast_of_a_pending_sum<.*spec<.*P<data, .*Partial<model> *> *>, .*to<(int|tess::i32)> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto counts(Dry& dev, Tensor<Shape<8>, P<data, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return cast<i32>(dev, x);
#else
  return cast<i32>(dev, reduce(dev, x));
#endif
}
