// Two dimensions merge where the inner one is whole
// SPDX-License-Identifier: Apache-2.0
// expect: reshape_is_not_local<.*spec<.*P<data, .*None, model> *>, .*dim<2>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto joined(Dry& dev, Tensor<Shape<4, 8, 64>, P<data, None, model>> x) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, merge<1>(x);
#else
  return merge<1>(reshard<P<data, model>>(dev, x));
#endif
}
