// Rows that are spread over devices may be a pending sum, but no pending maximum: rows elsewhere count as zeros
// SPDX-License-Identifier: Apache-2.0
// expect: a device counts rows that it lacks as zeros
// expect: rows_of_a_pending_maximum<.*spec<.*P<data, .*None, .*PartialMax<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/take.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Ids = ShardedTensor<i32, Shape<8>, M, P<>>;
template <class Spec>
using Rows = ShardedTensor<f32, Shape<64, 16>, M, Spec>;

auto look_up(Dry& dev, Rows<P<data, None, PartialMax<model>>> largest, Rows<P<data, None, Partial<model>>> sum,
             Ids ids) {
#ifdef MUST_NOT_COMPILE
  (void)sum;
  return take(dev, largest, ids);
#else
  (void)largest;
  return take(dev, sum, ids);
#endif
}
