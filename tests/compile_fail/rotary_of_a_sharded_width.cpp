// Rotary embedding needs whole heads: it pairs the two halves of each
// SPDX-License-Identifier: Apache-2.0
// expect: a function of whole rows needs the last dimension unsharded
// expect: rows_are_not_whole<.*spec<.*P<.*None, .*None, .*None, model> *>, .*dim<3> *>
#include <tess/device/dry.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Heads = ShardedTensor<f32, Shape<2, 8, 4, 64>, M, P<None, None, None, model>>;

auto turned(Dry& dev, Heads q, Segments rows) {
#ifdef MUST_NOT_COMPILE
  return rotary<f32>(dev, q, rows);
#else
  return rotary<f32>(dev, reshard<P<None, None, model>>(dev, q), rows);
#endif
}
