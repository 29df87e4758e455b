// A weight sharded over the axis of the batch is gathered in the source, not behind it
// SPDX-License-Identifier: Apache-2.0
// expect: contracted_dimensions_are_sharded_differently<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<data, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto multiply(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64, 16>, P<data>> w) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, x, w);
#else
  return matmul(dev, x, gather<0>(dev, w));
#endif
}
