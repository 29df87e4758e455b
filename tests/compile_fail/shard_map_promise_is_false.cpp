// An out spec that does not name an axis promises equal blocks, and the types must prove it
// SPDX-License-Identifier: Apache-2.0
// expect: promises that the blocks along it are equal
// expect: copies_may_differ<.*result<0>, .*over<data>, .*Varying<data>, .*spec<.*P<> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>>, Out<P<>>>(
      dev, [](auto x) { return sum<0>(x); }, x);
#else
  return shard_map<In<P<data>>, Out<P<>>>(
      dev, [](auto x) { return psum<data>(sum<0>(x)); }, x);
#endif
}
