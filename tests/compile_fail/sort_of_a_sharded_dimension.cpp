// A dimension is sorted where it is whole
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*sort>, .*dim<1>, .*extent<8>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return sort<1>(dev, x);
#else
  return sort<1>(dev, gather<1>(dev, x));
#endif
}
