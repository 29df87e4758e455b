// A pending result is summed, or said to be pending
// SPDX-License-Identifier: Apache-2.0
// expect: addend of a sum that is pending
// expect: sum_is_still_pending<.*result<0>, .*over<data>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto negated(Dry& dev, Tensor<Shape<8, 64>, P<Partial<data>>> x) {
  const auto body = [](auto x) { return -x; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<Partial<data>>>, Out<P<>>>(dev, body, x);
#else
  return shard_map<In<P<Partial<data>>>, Out<P<Partial<data>>>>(dev, body, x);
#endif
}
