// A mistake in a function of elements is one error, however long the program that follows
// SPDX-License-Identifier: Apache-2.0
// expect: function_of_a_pending_sum<.*spec<.*P<data, .*None, .*Partial<model> *> *> *>
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
  const auto g = matmul(dev, reshard<P<data, model>>(dev, x), down);
  const auto h = map<f32>(
      dev, [](f32 v) { return v * v; }, g);
  return rest(dev, h, up, scale);
#else
  const auto g = reduce(dev, matmul(dev, reshard<P<data, model>>(dev, x), down));
  const auto h = map<f32>(
      dev, [](f32 v) { return v * v; }, g);
  return rest(dev, h, up, scale);
#endif
}
