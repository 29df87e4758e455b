// Grok-1's einsum "bm,bmn->mn" takes an index P(None) and tokens P(data): their blocks fit at data = 1 only
// SPDX-License-Identifier: Apache-2.0
// expect: two dimensions with one label have different extents
// expect: paired_dimensions_have_different_extents<.*lhs<.*Shape<8, 64> *>, .*dim<1>, .*rhs<.*Shape<8, 32, 16> *>, .*dim<1> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
// What the body sees: the blocks of one device, as tensors of their own. b experts, m tokens, n columns.
template <class S, class Spec>
using Block = ShardedTensor<f32, shard_shape<S, Spec, M>, Mesh<>, P<>>;
using Columns = Block<Shape<8, 64, 64>, P<None, data, model>>;

auto chosen(Dry& dev, Block<Shape<8, 64>, P<None>> whole, Block<Shape<8, 64>, P<None, data>> part, Columns y) {
  using B = Labels<'b', 'm'>;
#ifdef MUST_NOT_COMPILE
  (void)part;
  return einsum<B, Labels<'b', 'm', 'n'>, Labels<'m', 'n'>>(dev, whole, y);
#else
  (void)whole;
  return einsum<B, Labels<'b', 'm', 'n'>, Labels<'m', 'n'>>(dev, part, y);
#endif
}
