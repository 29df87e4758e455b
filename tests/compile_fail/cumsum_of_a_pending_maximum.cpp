// Running sums of the parts of a maximum are not the parts of the running sum
// SPDX-License-Identifier: Apache-2.0
// expect: operation_on_a_pending_value<.*operation<.*cumsum>, .*spec<.*P<data, .*None, .*PartialMax<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, None, PartialMax<model>>> x,
       Tensor<Shape<4, 8>, P<data, None, Partial<model>>> y) {
#ifdef MUST_NOT_COMPILE
  return (void)y, cumsum<1>(dev, x);
#else
  return (void)x, cumsum<1>(dev, y);
#endif
}
