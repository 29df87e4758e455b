// A mesh axis does not shard the rows of one operand and the columns of the other
// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis shards a free dimension of the left operand
// expect: result_would_use_a_mesh_axis_twice<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<.*None, data> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto multiply(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64, 16>, P<None, data>> w) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, x, w);
#else
  return matmul(dev, gather<0>(dev, x), w);
#endif
}
