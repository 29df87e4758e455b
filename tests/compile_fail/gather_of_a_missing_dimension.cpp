// gather names a dimension that the tensor has
// SPDX-License-Identifier: Apache-2.0
// expect: no such dimension
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto whole(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x) {
#ifdef MUST_NOT_COMPILE
  return gather<2>(dev, x);
#else
  return gather<1>(dev, x);
#endif
}
