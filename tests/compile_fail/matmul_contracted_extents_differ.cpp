// The contracted dimensions of a product have equal extents
// SPDX-License-Identifier: Apache-2.0
// expect: have different extents
// expect: contracted_extents_differ<.*lhs<.*Shape<8, 64> *>, .*rhs<.*Shape<32, 16> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

void multiply(Dry& dev, Tensor<Shape<8, 64>, P<>> x, Tensor<Shape<32, 16>, P<>> narrow, Tensor<Shape<64, 16>, P<>> w) {
#ifdef MUST_NOT_COMPILE
  matmul(dev, x, narrow);
#else
  matmul(dev, x, w);
#endif
}
