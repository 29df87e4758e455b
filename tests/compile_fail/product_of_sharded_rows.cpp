// The product of a row is no sum, no maximum and no minimum of parts, so the row must be whole
// SPDX-License-Identifier: Apache-2.0
// expect: lines_are_not_whole<.*spec<.*P<.*None, model> *>, .*dim<1> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reduction.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto products(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x) {
#ifdef MUST_NOT_COMPILE
  return prod<1>(dev, x);
#else
  return prod<1>(dev, gather<1>(dev, x));
#endif
}
