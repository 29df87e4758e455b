// A program for all devices cannot branch on what one of them holds
// SPDX-License-Identifier: Apache-2.0
// expect: cannot branch on what each of them holds
// expect: block_is_no_condition<.*Varying<data> *>
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
    if (sum(x) > 0) return x * 2;
    return x;
  };
#else
  const auto body = [](auto x) { return where(sum(x) > 0, x * 2, x); };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
