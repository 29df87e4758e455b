// shard_map takes its arguments as they lie; it does not reshard them
// SPDX-License-Identifier: Apache-2.0
// expect: shard_map moves no bytes
// expect: argument_is_sharded_otherwise<.*argument<0>, .*from<.*P<.*None, model> *>, .*to<.*P<data> *> *>
#include <tess/ops/reshard.hpp>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto doubled(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x) {
  const auto twice = [](auto x) { return x * 2; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>>, Out<P<data>>>(dev, twice, x);
#else
  return shard_map<In<P<data>>, Out<P<data>>>(dev, twice, reshard<P<data>>(dev, x));
#endif
}
