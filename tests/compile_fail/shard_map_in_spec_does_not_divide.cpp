// An in spec cuts its argument into equal blocks
// SPDX-License-Identifier: Apache-2.0
// expect: cuts its argument into equal blocks
// expect: in_spec_does_not_fit<.*argument<0>, .*dimension_does_not_divide<.*dim<0>, .*extent<6>, .*over<data, model>, .*into<8>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto same(Dry& dev, Tensor<Shape<6, 64>, P<>> x) {
  const auto body = [](auto x) { return x; };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<Axes<data, model>>>, Out<P<Axes<data, model>>>>(dev, body, x);
#else
  return shard_map<In<P<>>, Out<P<>>>(dev, body, x);
#endif
}
