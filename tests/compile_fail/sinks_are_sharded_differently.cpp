// A device has the sinks of its own query heads
// SPDX-License-Identifier: Apache-2.0
// expect: sinks are one number a query head
// expect: sinks_are_sharded_differently<.*lhs<.*P<.*None, .*None, model, .*None> *>, .*rhs<.*P<.*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct model;
using M = Mesh<Axis<model, 4>>;
using Query = ShardedTensor<f32, Shape<1, 1, 16, 64>, M, P<None, None, model>>;
using Cache = ShardedTensor<bf16, Shape<1, 32, 8, 64>, M, P<None, None, model>>;
using Sinks = ShardedTensor<f32, Shape<16>, M, P<>>;

auto mix(Dry& dev, Query q, Cache c, Sinks sinks, Segments rows) {
#ifdef MUST_NOT_COMPILE
  return attention<f32>(dev, q, c, c, rows, {}, sinks);
#else
  return attention<f32>(dev, q, c, c, rows, {}, reshard<P<model>>(dev, sinks));
#endif
}
