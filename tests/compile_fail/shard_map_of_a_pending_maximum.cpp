// Pending blocks are addends: a pending maximum is finished before a shard_map
// SPDX-License-Identifier: Apache-2.0
// expect: a pending maximum or minimum is finished first
// expect: blocks_are_addends_of_sums_only<.*argument<0>, .*spec<.*P<.*PartialMax<data> *> *> *>
#include <tess/ops/reshard.hpp>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto doubled(Dry& dev, Tensor<Shape<8, 64>, P<PartialMax<data>>> x) {
  const auto twice = [](auto x) { return x * 2; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<PartialMax<data>>>, Out<P<>>>(dev, twice, x);
#else
  return shard_map<In<P<>>, Out<P<>>>(dev, twice, reduce(dev, x));
#endif
}
