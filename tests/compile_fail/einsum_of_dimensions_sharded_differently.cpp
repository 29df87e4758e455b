// The two dimensions of a label are sharded alike, or one finer than the other: a slice is free, an exchange is not
// SPDX-License-Identifier: Apache-2.0
// expect: neither is a refinement of the other
// expect: paired_dimensions_are_sharded_differently<.*lhs<.*P<.*None, data> *>, .*dim<1>, .*rhs<.*P<.*Axes<model, data>, .*None> *>, .*dim<0> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

void multiply(Dry& dev, Tensor<Shape<8, 64>, P<None, data>> x, Tensor<Shape<64, 16>, P<Axes<model, data>>> w,
              Tensor<Shape<64, 16>, P<Axes<data, model>>> finer) {
  using X = Labels<'m', 'k'>;
  using W = Labels<'k', 'n'>;
#ifdef MUST_NOT_COMPILE
  (void)finer;
  einsum<X, W, Labels<'m', 'n'>>(dev, x, w);
#else
  (void)w;
  einsum<X, W, Labels<'m', 'n'>>(dev, x, finer);
#endif
}
