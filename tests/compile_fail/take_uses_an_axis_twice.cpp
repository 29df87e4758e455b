// An axis does not shard both the ids and the table: batch over data, table over data and model
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis shards both the ids and the table
// expect: ids_and_table_share_a_mesh_axis<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<.*None, .*Axes<data, model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/take.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Ids = ShardedTensor<i32, Shape<8, 32>, M, P<data>>;
using Table = ShardedTensor<table<bf16>, Shape<131072, 6144>, M, P<None, Axes<data, model>>>;

auto embeddings(Dry& dev, Table rows, Ids ids) {
#ifdef MUST_NOT_COMPILE
  return take(dev, rows, ids);
#else
  return take(dev, rows, gather<0>(dev, ids));
#endif
}
