// Where devices go different ways a branch captures nothing, so that its collectives can be checked
// SPDX-License-Identifier: Apache-2.0
// expect: capture nothing, and pass blocks as arguments
// expect: branch_holds_something<
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
        sum(x) > 0, [&] { return x; }, [&] { return x * 2; });
  };
#else
  const auto body = [](auto x) {
    return cond(
        sum(x) > 0, [](auto x) { return x; }, [](auto x) { return x * 2; }, x);
  };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
