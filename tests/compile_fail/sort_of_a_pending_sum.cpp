// The order of addends is not the order of their sum
// SPDX-License-Identifier: Apache-2.0
// expect: operation_on_a_pending_value<.*operation<.*sort>, .*spec<.*P<data, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, None, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return sort<1>(dev, x);
#else
  return sort<1>(dev, reduce(dev, x));
#endif
}
