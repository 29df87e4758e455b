// take_along_axis: dimensions that x and the ids share are sharded alike, or one finer than the other
// SPDX-License-Identifier: Apache-2.0
// expect: a dimension that ids and table share is sharded differently
// expect: ids_and_table_are_sharded_differently<.*lhs<.*P<model, .*None> *>, .*rhs<.*P<data, .*None> *>, .*dim<0> *>
#include <tess/device/dry.hpp>
#include <tess/ops/take.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class Spec>
using Ids = ShardedTensor<i32, Shape<8, 2>, M, Spec>;
using X = ShardedTensor<f32, Shape<8, 16>, M, P<data>>;

auto look_up(Dry& dev, X x, Ids<P<model>> ids, Ids<P<Axes<data, model>>> finer) {
#ifdef MUST_NOT_COMPILE
  (void)finer;
  return take_along_axis<1>(dev, x, ids);
#else
  (void)ids;
  return take_along_axis<1>(dev, x, finer);
#endif
}
