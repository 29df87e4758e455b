// A reduction names dimensions that the tensor has
// SPDX-License-Identifier: Apache-2.0
// expect: reduction_has_no_such_dimension<.*spec<.*P<data, .*None> *>, .*dim<2> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reduction.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto totals(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return sum<2>(dev, x);
#else
  return sum<1>(dev, x);
#endif
}
