// A router sees the logits of all experts
// SPDX-License-Identifier: Apache-2.0
// expect: rows_are_not_whole<.*spec<.*P<data, .*None, model> *>, .*dim<2> *>
#include <tess/device/dry.hpp>
#include <tess/nn/router.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto routes(Dry& dev, Tensor<Shape<4, 8, 16>, P<data, None, model>> logits) {
#ifdef MUST_NOT_COMPILE
  return route(dev, logits, 2, nn::SoftmaxTopK<>{});
#else
  return route(dev, gather<2>(dev, logits), 2, nn::SoftmaxTopK<>{});
#endif
}
