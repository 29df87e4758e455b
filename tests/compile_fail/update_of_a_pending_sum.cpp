// A finished value written over addends would be counted once a device
// SPDX-License-Identifier: Apache-2.0
// expect: update_is_pending_differently<.*lhs<.*Partial<model> *> *>, .*rhs<.*P<data, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/dynamic_slice.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, None, Partial<model>>> x, Tensor<Shape<4, 4>, P<data>> u) {
#ifdef MUST_NOT_COMPILE
  return dynamic_update_slice(dev, x, u, {0, 2});
#else
  return dynamic_update_slice(dev, reduce(dev, x), u, {0, 2});
#endif
}
