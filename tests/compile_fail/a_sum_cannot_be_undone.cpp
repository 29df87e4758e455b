// A value that is whole does not become a pending sum
// SPDX-License-Identifier: Apache-2.0
// expect: the target spec is Partial
// expect: a_sum_cannot_be_undone<.*from<.*P<data, .*None> *>, .*to<.*P<data, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto move(Dry& dev, Tensor<Shape<8, 64>, P<data>> x) {
#ifdef MUST_NOT_COMPILE
  return reshard<P<data, None, Partial<model>>>(dev, x);
#else
  return reshard<P<data, model>>(dev, x);
#endif
}
