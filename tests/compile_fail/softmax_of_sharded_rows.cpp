// softmax needs whole rows, and gathers nothing on its own
// SPDX-License-Identifier: Apache-2.0
// expect: this function needs whole lines
// expect: lines_are_not_whole<.*spec<.*P<data, model> *>, .*dim<1> *>
#include <tess/device/dry.hpp>
#include <tess/ops/softmax.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto shares(Dry& dev, Tensor<Shape<8, 64>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return softmax(dev, x);
#else
  return softmax_sharded(dev, x);  // two all-reduces of one f32 a row
#endif
}
