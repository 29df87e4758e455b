// The largest of sums is not the sum of the largest addends
// SPDX-License-Identifier: Apache-2.0
// expect: this reduction of the parts is not that of the whole
// expect: reduction_of_a_pending_value<.*spec<.*P<data, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reduction.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto largest(Dry& dev, Tensor<Shape<8, 64>, P<data, None, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return max<1>(dev, x);
#else
  return max<1>(dev, reduce(dev, x));
#endif
}
