// Negative padding cuts off at most all elements
// SPDX-License-Identifier: Apache-2.0
// expect: padding_leaves_nothing<.*dim<1>, .*extent<8> *>
#include <tess/device/dry.hpp>
#include <tess/ops/pad.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return pad<1, -4, -5>(dev, x);
#else
  return pad<1, -4, -4>(dev, x);
#endif
}
