// A number with a fraction does not act on integers, in which it would lose the fraction
// SPDX-License-Identifier: Apache-2.0
// expect: the number would lose its fraction
// expect: fraction_beside_integers<double, (int|tess::i32)>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>

using namespace tess;
struct data;
using M = Mesh<Axis<data, 2>>;
template <class T>
using Tensor = ShardedTensor<T, Shape<8>, M, P<data>>;

auto halved(Dry& dev, Tensor<i32> x) {
#ifdef MUST_NOT_COMPILE
  return mul(dev, x, 0.5);
#else
  return mul(dev, cast<f32>(dev, x), 0.5);
#endif
}
