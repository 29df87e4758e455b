// Tokens and their routes lie on the same devices
// SPDX-License-Identifier: Apache-2.0
// expect: operands_are_sharded_differently<.*lhs<.*P<.*None, .*None, .*None> *>, .*rhs<.*P<data, .*None, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/experts.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;
using Shares = ShardedTensor<f32, Shape<4, 8, 2>, M, P<data>>;

auto grouped(Dry& dev, Tokens x, Routes<Ids, Shares> routes) {
#ifdef MUST_NOT_COMPILE
  return dispatch(dev, x, routes, 16);
#else
  return dispatch(dev, reshard<P<data>>(dev, x), routes, 16);
#endif
}
