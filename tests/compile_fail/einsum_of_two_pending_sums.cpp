// The operands of a product are not both pending over one axis
// SPDX-License-Identifier: Apache-2.0
// expect: \(a \+ b\)\(c \+ d\) is not ac \+ bd
// expect: product_of_two_pending_sums<.*over<model>, .*lhs<.*P<.*None, .*None, .*Partial<model> *> *>, .*rhs<.*P<.*None, .*None, .*Partial<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Sum = ShardedTensor<f32, Shape<64, 64>, M, P<None, None, Partial<model>>>;

auto square(Dry& dev, Sum x) {
  using A = Labels<'m', 'k'>;
  using B = Labels<'k', 'n'>;
#ifdef MUST_NOT_COMPILE
  return einsum<A, B, Labels<'m', 'n'>>(dev, x, x);
#else
  return einsum<A, B, Labels<'m', 'n'>>(dev, x, reduce(dev, x));
#endif
}
