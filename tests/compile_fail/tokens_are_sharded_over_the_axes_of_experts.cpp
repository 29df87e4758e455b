// Where the experts' axes shard the tokens, tokens are sent
// SPDX-License-Identifier: Apache-2.0
// expect: tokens_are_sharded_over_the_axes_of_their_experts<.*over<expert>, .*spec<.*P<.*Axes<data, expert>, .*None, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct expert;
struct model;
using M = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<Axes<data, expert>>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<Axes<data, expert>>>;

auto grouped(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes) {
#ifdef MUST_NOT_COMPILE
  return dispatch<expert>(dev, x, routes, 16);
#else
  return dispatch(dev, send_tokens<expert>(dev, x, routes, 16));
#endif
}
