// Blocks broadcast by their local shapes: the bias of a part is a part of the bias
// SPDX-License-Identifier: Apache-2.0
// expect: aligned at their ends, must be equal or 1
// expect: block_shapes_do_not_broadcast<.*Shape<8, 16> *>, .*Shape<64> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto shifted(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x, Tensor<Shape<64>, P<>> b) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x, auto b) { return x + b; };
#else
  const auto body = [](auto x, auto b) { return x + own_part<0, model>(b); };
#endif
  return shard_map<In<P<None, model>, P<>>, Out<P<None, model>>>(dev, body, x, b);
}
