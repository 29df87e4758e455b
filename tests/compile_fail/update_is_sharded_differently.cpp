// Beside them, an update is sharded like the tensor, or finer or coarser
// SPDX-License-Identifier: Apache-2.0
// expect: update_is_sharded_differently<.*lhs<.*P<data, model> *>, .*rhs<.*P<model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/dynamic_slice.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto f(Dry& dev, Tensor<Shape<4, 8>, P<data, model>> x, Tensor<Shape<4, 4>, P<model>> u,
       Tensor<Shape<4, 4>, P<data>> v) {
#ifdef MUST_NOT_COMPILE
  return (void)v, dynamic_update_slice(dev, x, u, {0, 2});
#else
  return (void)u, dynamic_update_slice(dev, x, v, {0, 2});
#endif
}
