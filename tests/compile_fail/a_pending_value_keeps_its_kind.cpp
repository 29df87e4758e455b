// Addends do not become candidates for a maximum
// SPDX-License-Identifier: Apache-2.0
// expect: addends do not become candidates
// expect: a_pending_value_keeps_its_kind<.*from<.*P<data, .*None, .*Partial<model> *> *>, .*to<.*P<data, .*PartialMax<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto move(Dry& dev, Tensor<Shape<8, 64>, P<data, None, Partial<model>>> x) {
#ifdef MUST_NOT_COMPILE
  return reshard<P<data, PartialMax<model>>>(dev, x);
#else
  return reshard<P<None, data, Partial<model>>>(dev, x);
#endif
}
