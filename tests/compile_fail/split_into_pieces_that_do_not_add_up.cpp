// The pieces of a dimension add up to it
// SPDX-License-Identifier: Apache-2.0
// expect: pieces_do_not_add_up<.*sizes<4, 3>, .*dim<1>, .*extent<8> *>
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
  return split<1, 4, 3>(dev, x);
#else
  return split<1, 5, 3>(dev, x);
#endif
}
