// There are at least k elements to take the k largest of, and of a sharded dimension on every device
// SPDX-License-Identifier: Apache-2.0
// expect: fewer_elements_than_k<.*largest<3>, .*dim<1>, .*extent<8> *>
#include <tess/device/dry.hpp>
#include <tess/ops/sort.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x) {
#ifdef MUST_NOT_COMPILE
  return top_k_sharded<1, 3>(dev, x);
#else
  return top_k_sharded<1, 2>(dev, x);
#endif
}
