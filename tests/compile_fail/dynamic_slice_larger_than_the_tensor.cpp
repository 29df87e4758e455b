// A window is not larger than the tensor
// SPDX-License-Identifier: Apache-2.0
// expect: part_is_larger_than_the_tensor<.*shape<.*Shape<4, 9> *>, .*shape<.*Shape<4, 8> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/dynamic_slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return dynamic_slice<Shape<4, 9>>(dev, x, {0, 0});
#else
  return dynamic_slice<Shape<4, 7>>(dev, x, {0, 0});
#endif
}
