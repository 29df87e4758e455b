// Ids are finished before they choose rows
// SPDX-License-Identifier: Apache-2.0
// expect: a row of number a \+ b is no sum of rows a and b
// expect: ids_are_still_partial<.*spec<.*P<.*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/take.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Ids = ShardedTensor<i32, Shape<8>, M, P<None, Partial<model>>>;
using Rows = ShardedTensor<f32, Shape<64, 16>, M, P<>>;

auto look_up(Dry& dev, Rows rows, Ids ids) {
#ifdef MUST_NOT_COMPILE
  return take(dev, rows, ids);
#else
  return take(dev, rows, reduce(dev, ids));
#endif
}
