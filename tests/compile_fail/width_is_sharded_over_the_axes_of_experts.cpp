// An expert needs the whole row of a token
// SPDX-License-Identifier: Apache-2.0
// expect: width_is_sharded_over_the_axes_of_experts<.*over<model>, .*spec<.*P<data, .*None, model> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct expert;
struct model;
using M = Mesh<Axis<data, 2>, Axis<expert, 2>, Axis<model, 2>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<data, None, model>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;

auto grouped(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes) {
#ifdef MUST_NOT_COMPILE
  return dispatch<model>(dev, x, routes, 16);
#else
  return dispatch<model>(dev, gather<2>(dev, x), routes, 16);
#endif
}
