// What experts made of tokens that were sent is summed there, and returned
// SPDX-License-Identifier: Apache-2.0
// expect: rows_belong_to_tokens_that_were_sent<.*over<expert> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct expert;
struct model;
using M = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<Axes<data, expert>>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<Axes<data, expert>>>;

auto summed(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes) {
  const auto sent = send_tokens<expert>(dev, x, routes, 16);
  const auto rows = dispatch(dev, sent);
#ifdef MUST_NOT_COMPILE
  return combine(dev, rows, routes);
#else
  return return_tokens(dev, combine(dev, rows, sent));
#endif
}
