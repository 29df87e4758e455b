// Keys lie on no more axes than the queries: a device has the key heads of all its query heads
// SPDX-License-Identifier: Apache-2.0
// expect: batch and heads sharded alike
// expect: heads_are_sharded_differently<.*lhs<.*P<data, .*None, .*None, .*None> *>, .*rhs<.*P<data, .*None, model, .*None> *> *>
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

auto mix(Dry& dev, Query<P<data>> whole, Query<P<data, None, model>> own, Cache<P<data, None, model>> cache,
         Segments rows) {
#ifdef MUST_NOT_COMPILE
  return (void)own, attention<f32>(dev, whole, cache, cache, rows, {});
#else
  return (void)whole, attention<f32>(dev, own, cache, cache, rows, {});
#endif
}
