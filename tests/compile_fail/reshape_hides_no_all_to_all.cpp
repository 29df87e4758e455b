// A reshape is local when the new dimensions can be read off the digits of the old ones: mesh axes and local extents
// SPDX-License-Identifier: Apache-2.0
// expect: do not fall on whole entries
// expect: reshape_is_not_local<.*spec<.*P<data, model> *>, .*from<.*Shape<4, 16> *>, .*to<.*Shape<64> *>, .*dim<0> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 16>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, reshape<Shape<64>>(x);
#else
  return reshape<Shape<64>>(reshard<P<data>>(dev, x));
#endif
}
