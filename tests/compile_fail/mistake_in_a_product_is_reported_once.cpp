// A mistake in a product is one error, however long the program that follows
// SPDX-License-Identifier: Apache-2.0
// expect: contracted_dimensions_are_sharded_differently<.*lhs<.*P<data, .*None> *>, .*rhs<.*P<model, .*None> *> *>
#include <tess/device/dry.hpp>
#include <tess/ops/rms_norm.hpp>

using namespace tess;
struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class S, class Spec>
using Tensor = ShardedTensor<f32, S, M, Spec>;

template <class X, class W, class V>
constexpr auto rest(Dry& dev, const X& h, const W& up, const V& scale) {
  const auto y = rms_norm<f32>(dev, reshard<P<data>>(dev, h), scale, 1e-5f);
  return add(dev, matmul(dev, y, up), matmul(dev, y, up));
}

auto program(Dry& dev, Tensor<Shape<8, 64>, P<data>> x, Tensor<Shape<64, 64>, P<model>> down,
             Tensor<Shape<64, 64>, P<None, model>> up, Tensor<Shape<64>, P<>> scale) {
#ifdef MUST_NOT_COMPILE
  const auto h = matmul(dev, x, down);
  return rest(dev, h, up, scale);
#else
  const auto h = matmul(dev, reshard<P<data, model>>(dev, x), down);
  return rest(dev, h, up, scale);
#endif
}
