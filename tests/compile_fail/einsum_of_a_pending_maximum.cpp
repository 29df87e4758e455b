// A pending maximum is finished before it is multiplied
// SPDX-License-Identifier: Apache-2.0
// expect: max\(a, b\) c is not max\(ac, bc\)
// expect: product_of_a_pending_maximum<.*spec<.*P<.*None, .*None, .*PartialMax<model> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class Spec>
using Square = ShardedTensor<f32, Shape<64, 64>, M, Spec>;

auto multiply(Dry& dev, Square<P<PartialMax<model>>> largest, Square<P<Partial<model>>> sum, Square<P<>> w) {
  using A = Labels<'m', 'k'>;
  using B = Labels<'k', 'n'>;
#ifdef MUST_NOT_COMPILE
  (void)sum;
  return einsum<A, B, Labels<'m', 'n'>>(dev, largest, w);
#else
  (void)largest;
  return einsum<A, B, Labels<'m', 'n'>>(dev, sum, w);
#endif
}
