// What is written to a cache has its heads where the cache has them
// SPDX-License-Identifier: Apache-2.0
// expect: heads_are_sharded_differently<.*lhs<.*P<data, .*None, .*None, .*None> *>, .*rhs<.*P<data, .*None, model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class Spec>
using Heads = ShardedTensor<bf16, Shape<dyn, dyn, 8, 64>, M, Spec>;

void remember(Dry& dev, Heads<P<data, None, model>> cache, Heads<P<data>> keys, Segments rows) {
#ifdef MUST_NOT_COMPILE
  append_to_cache(dev, cache, keys, rows);
#else
  append_to_cache(dev, cache, reshard<P<data, None, model>>(dev, keys), rows);
#endif
}
