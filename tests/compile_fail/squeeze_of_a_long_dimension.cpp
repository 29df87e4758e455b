// Only a dimension of extent 1 can be left out
// SPDX-License-Identifier: Apache-2.0
// expect: squeezed_dimension_is_not_one<.*dim<1>, .*extent<3>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<1, 3, 8>, P<>> x) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, squeeze<0, 1>(x);
#else
  return (void)dev, squeeze<0>(x);
#endif
}
