// A collective names a mesh axis once
// SPDX-License-Identifier: Apache-2.0
// expect: a collective names a mesh axis twice
// expect: collective_names_an_axis_twice<.*over<data, data> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return psum<data, data>(x); };
#else
  const auto body = [](auto x) { return psum<data>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<>>>(dev, body, x);
}
