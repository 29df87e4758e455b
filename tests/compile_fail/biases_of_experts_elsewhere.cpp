// The biases of experts lie where the experts do
// SPDX-License-Identifier: Apache-2.0
// expect: experts_are_distributed_differently<.*lhs<expert>, .*rhs<.*None *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct expert;
struct model;
using M = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<data>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;
using Biases = ShardedTensor<f32, Shape<16, 64>, M, P<>>;

auto biased(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes, Biases b) {
  const auto rows = dispatch<expert>(dev, x, routes, 16);
#ifdef MUST_NOT_COMPILE
  return add_bias(dev, rows, b);
#else
  return add_bias(dev, rows, reshard<P<expert>>(dev, b));
#endif
}
