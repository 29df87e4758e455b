// The axis of a pending sum does not shard the other operand: an addend would meet one shard only
// SPDX-License-Identifier: Apache-2.0
// expect: an addend would meet one
// expect: pending_axis_shards_the_other_operand<.*over<model>, .*lhs<.*P<.*None, .*None, .*Partial<model> *> *>, .*rhs<.*P<.*None, model> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class Spec>
using Square = ShardedTensor<f32, Shape<64, 64>, M, Spec>;

auto multiply(Dry& dev, Square<P<Partial<model>>> sum, Square<P<None, model>> v, Square<P<None, data>> w) {
  using A = Labels<'m', 'k'>;
  using B = Labels<'k', 'n'>;
#ifdef MUST_NOT_COMPILE
  (void)w;
  return einsum<A, B, Labels<'m', 'n'>>(dev, sum, v);
#else
  (void)v;
  return einsum<A, B, Labels<'m', 'n'>>(dev, sum, w);
#endif
}
