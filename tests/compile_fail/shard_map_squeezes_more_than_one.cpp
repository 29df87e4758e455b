// squeeze takes away dimensions of extent 1
// SPDX-License-Identifier: Apache-2.0
// expect: takes a dimension of extent 1 away, and no other
// expect: dimension_is_not_one<.*Shape<1, 64> *>, .*dim<1> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto rows(Dry& dev, Tensor<Shape<2, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return squeeze<1>(x); };
#else
  const auto body = [](auto x) { return squeeze<0>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
