// A pending sum is finished before it is multiplied
// SPDX-License-Identifier: Apache-2.0
// expect: an operand is still Partial
// expect: operand_is_still_partial<.*lhs<.*P<.*None, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto twice(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x, Tensor<Shape<64, 64>, P<model>> w,
           Tensor<Shape<64, 64>, P<>> v) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, matmul(dev, x, w), v);
#else
  return matmul(dev, reduce(dev, matmul(dev, x, w)), v);
#endif
}
