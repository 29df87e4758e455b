// Out<...> has a spec for every block that the function returns
// SPDX-License-Identifier: Apache-2.0
// expect: one PartitionSpec for every block that the function returns
// expect: shard_map_needs_a_spec_for_each_result<.*Out<.*P<data> *>, .*extent<2> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto both(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
  const auto body = [](auto x) { return carry(x, psum<data>(x)); };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
#else
  return shard_map<In<P<data>>, Out<P<data>, P<>>>(dev, body, x);
#endif
}
