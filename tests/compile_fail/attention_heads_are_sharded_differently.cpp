// Queries, keys and values have their heads on the same devices
// SPDX-License-Identifier: Apache-2.0
// expect: batch and heads sharded alike
// expect: heads_are_sharded_differently<.*lhs<.*P<data, .*None, model, .*None> *>, .*rhs<.*P<data, .*None, .*None, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/attention.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class Spec>
using Query = ShardedTensor<f32, Shape<dyn, dyn, 16, 64>, M, Spec>;
template <class Spec>
using Cache = ShardedTensor<bf16, Shape<dyn, dyn, 8, 64>, M, Spec>;

auto mix(Dry& dev, Query<P<data, None, model>> q, Cache<P<data>> whole, Cache<P<data, None, model>> own,
         Segments rows) {
#ifdef MUST_NOT_COMPILE
  return (void)own, attention<f32>(dev, q, whole, whole, rows, {});
#else
  return (void)whole, attention<f32>(dev, q, own, own, rows, {});
#endif
}
