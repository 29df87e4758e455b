// Experts that lie over a mesh axis need rows that are grouped for them
// SPDX-License-Identifier: Apache-2.0
// expect: experts_are_distributed_differently<.*lhs<.*None *>, .*rhs<.*model *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/expert_parallel.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Tokens = ShardedTensor<f32, Shape<4, 8, 64>, M, P<data>>;
using Ids = ShardedTensor<i32, Shape<4, 8, 2>, M, P<data>>;
using Weights = ShardedTensor<packed<q8<1>>, Shape<16, 64, 256>, M, P<model>>;

auto multiply(Dry& dev, Tokens x, Routes<Ids, with_type<Ids, f32>> routes, Weights w) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, dispatch(dev, x, routes, 16), w);
#else
  return matmul(dev, dispatch<model>(dev, x, routes, 16), w);
#endif
}
