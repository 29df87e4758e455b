// What goes into a loop and what comes out of its body have one shape
// SPDX-License-Identifier: Apache-2.0
// expect: must have equal element types and local shapes
// expect: branches_return_different_blocks<
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto gathered(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x) {
    return fori_loop(
        0, 2, [](auto, auto c) { return all_gather<0, data>(c); }, x);
  };
#else
  const auto body = [](auto x) {
    return fori_loop(
        0, 2, [](auto, auto c) { return psum_scatter<0, data>(all_gather<0, data>(c)); }, x);
  };
#endif
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
