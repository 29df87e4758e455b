// A bias is sharded as the last dimension of its rows, or whole; another axis there would need an exchange
// SPDX-License-Identifier: Apache-2.0
// expect: operands_are_sharded_differently<.*lhs<.*P<.*None, model> *>, .*rhs<.*P<data> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

auto biased(Dry& dev, Tensor<Shape<8, 64>, P<None, model>> x, Tensor<Shape<64>, P<data>> bias) {
#ifdef MUST_NOT_COMPILE
  return add_bias(dev, x, bias);
#else
  return add_bias(dev, x, reshard<P<>>(dev, bias));  // whole: each device takes its slice, for free
#endif
}
