// A finished block added to a pending one would be added by every device
// SPDX-License-Identifier: Apache-2.0
// expect: every device would add the finished
// expect: pending_block_meets_a_finished_one<.*over<model>, .*Varying<.*Partial<model> *>, .*Varying<> *>
#include <tess/ops/shard_map.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto layer(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x, Tensor<Shape<64, 16>, P<model>> w,
           Tensor<Shape<16>, P<>> b) {
#ifdef MUST_NOT_COMPILE
  const auto body = [](auto x, auto w, auto b) { return psum<model>(ppartial<model>(matmul(x, w)) + b); };
#else
  const auto body = [](auto x, auto w, auto b) { return psum<model>(ppartial<model>(matmul(x, w))) + b; };
#endif
  return shard_map<In<P<None, model>, P<model>, P<>>, Out<P<>>>(dev, body, x, w, b);
}
