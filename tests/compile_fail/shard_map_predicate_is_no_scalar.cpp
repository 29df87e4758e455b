// A cond takes one way for a whole block: its predicate is a scalar
// SPDX-License-Identifier: Apache-2.0
// expect: a predicate is a scalar block of bool
// expect: predicate_is_no_scalar<.*Block<bool, .*Shape<4, 64>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto scaled(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
  const auto body = [](auto x) {
#ifdef MUST_NOT_COMPILE
    const auto large = x > 0;
#else
    const auto large = sum(x) > 0;
#endif
    return cond(
        large, [](auto x) { return x; }, [](auto x) { return x * 2; }, x);
  };
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
