// Experts sharded over a mesh axis need their tokens brought to them first
// SPDX-License-Identifier: Apache-2.0
// expect: experts sharded over a mesh axis need tokens dispatched over that axis first
#include <tess/device/dry.hpp>
#include <tess/ops/experts.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Index = ShardedTensor<i32, Shape<dyn>, M, P<data>>;
using Rows = Grouped<ShardedTensor<f32, Shape<dyn, 64>, M, P<data>>, Index, Index>;
template <class Spec>
using Weights = ShardedTensor<packed<q8<1>>, Shape<16, 64, 256>, M, Spec>;

auto multiply(Dry& dev, Rows rows, Weights<P<model>> spread, Weights<P<None, None, model>> cut) {
#ifdef MUST_NOT_COMPILE
  return (void)cut, matmul(dev, rows, spread);
#else
  return (void)spread, matmul(dev, rows, cut);
#endif
}
