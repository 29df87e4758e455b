// What comes out of a branch varies as the predicate does, too: JAX's check forgets it
// SPDX-License-Identifier: Apache-2.0
// expect: promises that the blocks along it are equal
// expect: copies_may_differ<.*result<0>, .*over<data>, .*Varying<data>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto first_or_doubled(Dry& dev, Tensor<Shape<8, 64>, P<>> x) {
  const auto body = [](auto x) {
    return cond(
        axis_index<data>(x) == 0, [](auto x) { return x; }, [](auto x) { return x * 2; }, x);
  };
#ifdef MUST_NOT_COMPILE
  return shard_map<In<P<>>, Out<P<>>>(dev, body, x);
#else
  return shard_map<In<P<>>, Out<P<data>>>(dev, body, x);
#endif
}
