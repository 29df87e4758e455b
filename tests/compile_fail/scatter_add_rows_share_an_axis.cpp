// scatter_add: an axis that shards the tokens cannot shard the rows too: updates of a row lie on other devices
// SPDX-License-Identifier: Apache-2.0
// expect: the axis that is to shard the rows shards ids or updates too
// expect: rows_share_a_mesh_axis_with_the_updates<.*over<data>, .*lhs<.*P<data> *>, .*rhs<.*P<data, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/scatter_add.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Ids = ShardedTensor<i32, Shape<8>, M, P<data>>;
using Updates = ShardedTensor<f32, Shape<8, 16>, M, P<data>>;

auto gradient(Dry& dev, Ids ids, Updates updates) {
#ifdef MUST_NOT_COMPILE
  return scatter_add<64, data>(dev, ids, updates);
#else
  return scatter_add<64, model>(dev, ids, updates);
#endif
}
