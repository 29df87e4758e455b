// The operands of a product live on one mesh
// SPDX-License-Identifier: Apache-2.0
// expect: operands live on different meshes
// expect: operands_live_on_different_meshes<.*lhs<.*Mesh<.*Axis<model, 4> *> *>, .*rhs<.*Mesh<.*Axis<model, 8> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>

using namespace tess;
struct model;
template <index_t N, class S>
using Tensor = ShardedTensor<f32, S, Mesh<Axis<model, N>>, P<>>;

auto multiply(Dry& dev, Tensor<4, Shape<8, 64>> x, Tensor<8, Shape<64, 16>> elsewhere, Tensor<4, Shape<64, 16>> w) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, x, elsewhere);
#else
  return matmul(dev, x, w);
#endif
}
