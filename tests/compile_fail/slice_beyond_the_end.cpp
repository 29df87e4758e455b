// A slice lies inside the dimension
// SPDX-License-Identifier: Apache-2.0
// expect: range_is_outside_the_dimension<.*range<2, 9>, .*dim<1>, .*extent<8> *>
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
  return slice<1, 2, 9>(dev, x);
#else
  return slice<1, 2, 8>(dev, x);
#endif
}
