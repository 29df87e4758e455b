// The largest of a sharded dimension are found by a composition that says what it gathers
// SPDX-License-Identifier: Apache-2.0
// expect: dimension_is_not_whole<.*operation<.*top_k>, .*dim<1>, .*extent<32>, .*over<model>, .*spec<.*P<data, model> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 32>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return top_k<1, 2>(dev, x);
#else
  return top_k_sharded<1, 2>(dev, x);
#endif
}
