// Each label of a product's result is a label of an operand
// SPDX-License-Identifier: Apache-2.0
// expect: each operand has one label a dimension
// expect: labels_do_not_fit_the_operands<.*lhs<.*Labels<'m', 'k'> *>, .*rhs<.*Labels<'k', 'n'> *>, .*to<.*Labels<'m', 'v'> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

void multiply(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64, 16>, P<>> w) {
#ifdef MUST_NOT_COMPILE
  einsum<Labels<'m', 'k'>, Labels<'k', 'n'>, Labels<'m', 'v'>>(dev, x, w);
#else
  einsum<Labels<'m', 'k'>, Labels<'k', 'n'>, Labels<'m', 'n'>>(dev, x, w);
#endif
}
