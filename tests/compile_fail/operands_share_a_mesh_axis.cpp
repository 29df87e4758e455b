// An axis that shards rows of one operand and columns of the other leaves no device with a whole element of either
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis shards different dimensions of the operands
// expect: result_would_be_sharded_twice<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<.*None, data> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<data>> a, Tensor<Shape<8, 64>, P<None, data>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, b);
#else
  return add(dev, a, reshard<P<data>>(dev, b));
#endif
}
