// A weight whose contracted dimension is sharded does not meet whole rows: that would be a hidden all-gather
// SPDX-License-Identifier: Apache-2.0
// expect: contracted dimensions are sharded differently
// expect: contracting_spec<X, W>
// expect: contracted_dimensions_are_sharded_differently<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto multiply(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64, 16>, P<model>> w) {
#ifdef MUST_NOT_COMPILE
  return matmul(dev, x, w);
#else
  return matmul(dev, reshard<P<data, model>>(dev, x), w);  // a slice: free
#endif
}
