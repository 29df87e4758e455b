// A dimension splits into equal parts
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_does_not_split<.*dim<1>, .*extent<1024>, .*into<12> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 1024>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, split<1, 12, dyn>(x, 12);
#else
  return (void)dev, split<1, 16, dyn>(x, 16);
#endif
}
