// dot_general's dimension numbers are dimensions of the operands, in pairs, each once
// SPDX-License-Identifier: Apache-2.0
// expect: each exists, and stands once
// expect: dimension_numbers_do_not_fit_the_operands<.*Contract<.*Dims<3>, .*Dims<1> *>, .*Batch<.*Dims<0>, .*Dims<0> *>, .*lhs<.*Shape<4, 8, 16> *>, .*rhs<.*Shape<4, 16, 32> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/einsum.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
using X = ShardedTensor<f32, Shape<4, 8, 16>, M, P<data>>;
using W = ShardedTensor<f32, Shape<4, 16, 32>, M, P<data>>;

void multiply(Dry& dev, X x, W w) {
#ifdef MUST_NOT_COMPILE
  dot_general<Contract<Dims<3>, Dims<1>>, Batch<Dims<0>, Dims<0>>>(dev, x, w);
#else
  dot_general<Contract<Dims<2>, Dims<1>>, Batch<Dims<0>, Dims<0>>>(dev, x, w);
#endif
}
