// A finished sum does not come out as a pending one
// SPDX-License-Identifier: Apache-2.0
// expect: Partial over an axis over which the result is not
// expect: nothing_is_pending<.*result<0>, .*over<data>, .*Varying<> *, .*spec<.*P<.*Partial<data> *> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto total(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) { return psum<data>(x); };
#else
  const auto body = [](auto x) { return ppartial<data>(x); };
#endif
  return shard_map<In<P<data>>, Out<P<Partial<data>>>>(dev, body, x);
}
