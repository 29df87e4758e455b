// Grok-1 stores experts as P(None, data, model) and multiplies them as P(None, None, model): that hides an all-gather
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis shards dimensions with different labels
// expect: product_would_use_a_mesh_axis_twice<.*over<data>, .*lhs<.*P<data, .*None> *>, .*rhs<.*P<.*None, data, model> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto experts(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<8, 64, 16>, P<None, data, model>> w) {
  using X = Labels<'t', 'k'>;
  using W = Labels<'e', 'k', 'n'>;
#ifdef MUST_NOT_COMPILE
  return einsum<X, W, Labels<'e', 't', 'n'>>(dev, x, w);
#else
  return einsum<X, W, Labels<'e', 't', 'n'>>(dev, x, gather<1>(dev, w));
#endif
}
