// A sum of numbers of classes is no number of a class before it is finished
// SPDX-License-Identifier: Apache-2.0
// expect: operation_on_a_pending_value<.*operation<.*one_hot>, .*spec<.*P<data, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/one_hot.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<i32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4>, P<data, Partial<model>>> ids) {
#ifdef MUST_NOT_COMPILE
  return one_hot<8>(dev, ids);
#else
  return one_hot<8>(dev, reduce(dev, ids));
#endif
}
