// A place in a row is found where the row is whole
// SPDX-License-Identifier: Apache-2.0
// expect: lines_are_not_whole<.*spec<.*P<data, model> *>, .*dim<1> *>
#include <tess/device/dry.hpp>
#include <tess/ops/softmax.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto places(Dry& dev, Tensor<Shape<8, 64>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return argmax<1>(dev, x);
#else
  return argmax_sharded<1>(dev, x);
#endif
}
