// Collectives alone do not lead everywhere within the memory of the larger end
// SPDX-License-Identifier: Apache-2.0
// expect: the policy allows collectives only
// expect: no_chain_of_collectives_was_found<.*from<.*P<.*Axes<model, .*expert>, .*data> *>, .*to<.*P<.*None, .*model> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
struct expert;
using M = Mesh<Axis<data, 2>, Axis<model, 5>, Axis<expert, 3>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto move(Dry& dev, Tensor<Shape<15, 20>, P<Axes<model, expert>, data>> x) {
#ifdef MUST_NOT_COMPILE
  return reshard<P<None, model>, CollectivesOnly>(dev, x);
#else
  return reshard<P<None, model>>(dev, x);
#endif
}
