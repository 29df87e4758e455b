// A packed weight can be made whole along axes; it does not move to others
// SPDX-License-Identifier: Apache-2.0
// expect: packed weights can be made whole along mesh axes and nothing else
// expect: weights_can_only_be_gathered<.*from<.*P<data, model> *>, .*to<.*P<model, data> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/gather_weights.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
using W = ShardedTensor<packed<bf16>, Shape<64, 128>, M, P<data, model>>;

auto together(Dry& dev, const W& w) {
#ifdef MUST_NOT_COMPILE
  return gather_weights<P<model, data>>(dev, w);
#else
  return gather_weights<P<None, model>>(dev, w);
#endif
}
