// An out spec has at most one entry for each dimension of the block
// SPDX-License-Identifier: Apache-2.0
// expect: puts blocks together along their dimensions
// expect: out_spec_does_not_fit<.*result<0>, .*spec_is_longer_than_the_shape<
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto losses(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto x) { return sum(x); }, x);
#else
  return shard_map<In<P<data>>, Out<P<data>>>(
      dev, [](auto x) { return expand_dims<0>(sum(x)); }, x);
#endif
}
