// Rows that are grouped by expert stay on their devices
// SPDX-License-Identifier: Apache-2.0
// expect: rows grouped by expert cannot move between devices
#include <tess/device/dry.hpp>
#include <tess/ops/experts.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Index = ShardedTensor<i32, Shape<dyn>, M, P<data>>;
using Rows = Grouped<ShardedTensor<f32, Shape<dyn, 64>, M, P<data, model>>, Index, Index>;

auto moved(Dry& dev, Rows rows) {
#ifdef MUST_NOT_COMPILE
  return reshard<P<None, model>>(dev, rows);
#else
  return reshard<P<data>>(dev, rows);
#endif
}
