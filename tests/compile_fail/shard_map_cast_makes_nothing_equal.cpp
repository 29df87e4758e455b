// No cast makes equal what varies: blocks are summed or gathered
// SPDX-License-Identifier: Apache-2.0
// expect: a cast cannot make them equal
// expect: blocks_differ_along_the_axis<.*over<data>, .*Varying<data> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto marked(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return preduced<data>(x); };
#else
  const auto body = [](auto x) { return all_gather_reduced<0, data>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<None, None, Reduced<data>>>>(dev, body, x);
}
