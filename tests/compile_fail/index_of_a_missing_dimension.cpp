// An operation works along a dimension that the tensor has
// SPDX-License-Identifier: Apache-2.0
// expect: tensor_has_no_such_dimension<.*operation<.*index>, .*dim<2>, .*shape<.*Shape<4, 8> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return index<2>(dev, x, 3);
#else
  return index<1>(dev, x, 3);
#endif
}
