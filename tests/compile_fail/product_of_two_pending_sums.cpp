// The product of two pending sums is not the pending sum of the products
// SPDX-License-Identifier: Apache-2.0
// expect: \(a \+ b\)\(c \+ d\) is not ac \+ bd
// expect: product_of_pending_sums<.*lhs<.*P<data, .*None, .*Partial<model> *> *>, .*rhs<.*P<data, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto squares(Dry& dev, Tensor<Shape<8, 64>, P<data, None, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return mul(dev, x, x);
#else
  const auto y = reduce(dev, x);
  return mul(dev, y, y);
#endif
}
