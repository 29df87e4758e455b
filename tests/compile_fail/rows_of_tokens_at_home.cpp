// Rows of tokens at home are not summed by the routes of those that were sent
// SPDX-License-Identifier: Apache-2.0
// expect: rows_belong_to_tokens_at_home<.*over<expert> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct expert;
struct model;
using M = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<data>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;

auto summed(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes) {
  const auto sent = send_tokens<expert>(dev, x, routes, 16);
#ifdef MUST_NOT_COMPILE
  return combine(dev, dispatch<expert>(dev, x, routes, 16), sent);
#else
  return combine(dev, dispatch(dev, sent), sent);
#endif
}
