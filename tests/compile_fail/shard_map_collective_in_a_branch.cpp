// Where devices go different ways none of them waits for the others
// SPDX-License-Identifier: Apache-2.0
// expect: went different ways in a cond or while_loop
// expect: collective_where_devices_go_different_ways<.*over<data>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto scaled(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) {
    return cond(
        sum(x) > 0, [](auto x) { return psum<data>(x); }, [](auto x) { return x * 2; }, x);
  };
#else
  const auto body = [](auto x) {
    return psum<data>(cond(
        sum(x) > 0, [](auto x) { return x; }, [](auto x) { return x * 2; }, x));
  };
#endif
  return shard_map<In<P<data>>, Out<P<>>>(dev, body, x);
}
