// A slice of a block is at most as long as the block, not as the tensor
// SPDX-License-Identifier: Apache-2.0
// expect: a part of a dimension is at most as long as the dimension
// expect: part_is_longer_than_the_block<.*Shape<4, 64> *>, .*dim<0>, .*extent<8> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto rows(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return dynamic_slice<0, 8>(x, axis_index<data>(x)); };
#else
  const auto body = [](auto x) { return dynamic_slice<0, 2>(x, axis_index<data>(x)); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
