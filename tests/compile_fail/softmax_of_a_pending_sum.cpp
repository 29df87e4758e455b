// softmax of a pending sum is refused once, also in the form for spread rows
// SPDX-License-Identifier: Apache-2.0
// expect: function_of_a_pending_sum<.*spec<.*P<.*None, model, .*Partial<data> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/softmax.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto shares(Dry& dev, Tensor<Shape<8, 64>, P<None, model, Partial<data>>> x) {
#ifdef MUST_NOT_COMPILE
  return softmax_sharded(dev, x);
#else
  return softmax_sharded(dev, reduce(dev, x));
#endif
}
