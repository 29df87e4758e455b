// A reshape keeps the number of elements
// SPDX-License-Identifier: Apache-2.0
// expect: reshape_changes_the_number_of_elements<.*from<.*Shape<4, 16> *>, .*to<.*Shape<8, 9> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshape.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 16>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return (void)dev, reshape<Shape<8, 9>>(x);
#else
  return (void)dev, reshape<Shape<8, 8>>(x);
#endif
}
