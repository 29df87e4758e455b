// The product of two pending sums is not the pending sum of products
// SPDX-License-Identifier: Apache-2.0
// expect: is not the pending sum of products
// expect: product_of_pending_blocks<.*over<data>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto squares(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return ppartial<data>(x) * ppartial<data>(x); };
#else
  const auto body = [](auto x) { return ppartial<data>(x) * psum<data>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<Partial<data>>>>(dev, body, x);
}
