// An all_to_all splits one dimension and puts together another
// SPDX-License-Identifier: Apache-2.0
// expect: splits one dimension and puts together another
// expect: all_to_all_needs_two_dimensions<.*dim<0> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto turned(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return all_to_all<0, 0, data>(x); };
#else
  const auto body = [](auto x) { return all_to_all<1, 0, data>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<None, data>>>(dev, body, x);
}
