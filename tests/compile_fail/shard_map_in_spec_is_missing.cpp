// In<...> has a spec for every argument
// SPDX-License-Identifier: Apache-2.0
// expect: one PartitionSpec for every argument
// expect: shard_map_needs_a_spec_for_each_argument<.*In<.*P<data> *>, .*extent<2> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto shifted(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64>, P<>> b) {
  const auto body = [](auto x, auto b) { return x + b; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x, b);
#else
  return shard_map<In<P<data>, P<>>, Out<P<data>>>(dev, body, x, b);
#endif
}
