// A transposition names every dimension once
// SPDX-License-Identifier: Apache-2.0
// expect: order_is_no_permutation<.*order<0, 2>, .*shape<.*Shape<4, 8, 2> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/transpose.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8, 2>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return transpose<0, 2>(dev, x);
#else
  return transpose<0, 2, 1>(dev, x);
#endif
}
