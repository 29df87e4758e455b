// An operation on a block names dimensions that the block has
// SPDX-License-Identifier: Apache-2.0
// expect: the block has no such dimension
// expect: block_has_no_such_dimension<.*Shape<4, 64> *>, .*dim<2> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto rows(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return sum<2>(x); };
#else
  const auto body = [](auto x) { return sum<1>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
