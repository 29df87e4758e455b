// The largest of the addends is not the largest of the sums
// SPDX-License-Identifier: Apache-2.0
// expect: addends of a pending sum, which this collective would mix up
// expect: blocks_are_still_pending<.*over<data>, .*Varying<model, .*Partial<data> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto largest(Dry& dev, Tensor<Shape<8, 64>, P<None, model, Partial<data>>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return pmax<model>(x); };
#else
  const auto body = [](auto x) { return pmax<model>(psum<data>(x)); };
#endif
  return shard_map<In<P<None, model, Partial<data>>>, Out<P<>>>(dev, body, x);
}
