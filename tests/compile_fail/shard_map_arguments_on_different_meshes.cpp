// The arguments of a shard_map live on one mesh
// SPDX-License-Identifier: Apache-2.0
// expect: all arguments live on one mesh
// expect: arguments_live_on_different_meshes<.*lhs<.*Axis<model, 4> *> *>, .*rhs<.*Axis<model, 8> *> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
template <index_t N, class S, class Spec>
using Tensor = ShardedTensor<f32, S, Mesh<Axis<data, 2>, Axis<model, N>>, Spec>;

auto total(Dry& dev, Tensor<4, Shape<8, 64>, P<data>> x, Tensor<8, Shape<8, 64>, P<data>> elsewhere,
           Tensor<4, Shape<8, 64>, P<data>> y) {
  const auto body = [](auto x, auto y) { return x + y; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<data>, P<data>>, Out<P<data>>>(dev, body, x, elsewhere);
#else
  return shard_map<In<P<data>, P<data>>, Out<P<data>>>(dev, body, x, y);
#endif
}
