// A bound of a fori_loop is a number or a scalar of integers
// SPDX-License-Identifier: Apache-2.0
// expect: are numbers or scalar blocks of integers
// expect: bound_is_no_number<.*Block<.*(float|f32), .*Shape<> *,
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
    const auto last = sum(x);
#else
    const auto last = axis_index<data>(x);
#endif
    return fori_loop(
        0, last, [](auto, auto x) { return x * 2; }, x);
  };
  return shard_map<In<P<data>>, Out<P<data>>>(dev, body, x);
}
