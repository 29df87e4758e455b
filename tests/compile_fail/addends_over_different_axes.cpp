// Pending sums over different axes are not added: each would be counted once for every device of the other axis
// SPDX-License-Identifier: Apache-2.0
// expect: operands_are_pending_differently<.*lhs<.*P<.*None, .*None, .*Partial<data> *> *>, .*rhs<.*P<.*None, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<Partial<data>>> a, Tensor<Shape<8, 64>, P<Partial<model>>> b) {
#ifdef MUST_NOT_COMPILE
  return add(dev, a, b);
#else
  return add(dev, reduce(dev, a), reduce(dev, b));
#endif
}
