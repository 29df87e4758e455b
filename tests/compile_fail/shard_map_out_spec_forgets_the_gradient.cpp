// A block whose gradient is a pending sum comes out as one
// SPDX-License-Identifier: Apache-2.0
// expect: must be Reduced over the same axes
// expect: gradient_marks_differ<.*result<0>, .*over<data>, .*Varying<.*Reduced<data> *>, .*spec<.*P<> *> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto marked(Dry& dev, Tensor<Shape<8, 64>, P<>> x) {
  const auto body = [](auto x) { return preduced<data>(x); };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<>>, Out<P<>>>(dev, body, x);
#else
  return shard_map<In<P<>>, Out<P<None, None, Reduced<data>>>>(dev, body, x);
#endif
}
