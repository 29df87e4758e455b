// layer_norm: against f64, the same bits whatever the batch and the scale are sharded over.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/layer_norm.hpp>

#include "support/whole.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
constexpr index_t rows = 4, width = 24;
template <class Spec, class S = Shape<rows, width>, class T = f32>
using X = ShardedTensor<T, S, M, Spec, Host>;

}  // namespace

TEST_CASE("rows have mean 0 and variance 1 before the scale and the bias") {
  Host dev(1);
  const auto x = random(1, rows * width, 8), scale = random(2, width), bias = random(3, width);
  std::vector<f64> truth;
  for (index_t r = 0; r < rows; ++r) {
    const auto at = [&](index_t i) { return static_cast<f64>(x[static_cast<std::size_t>(r * width + i)]); };
    f64 mean = 0, var = 0;
    for (index_t i = 0; i < width; ++i) mean += at(i) / width;
    for (index_t i = 0; i < width; ++i) var += (at(i) - mean) * (at(i) - mean) / width;
    for (index_t i = 0; i < width; ++i) {
      const auto k = static_cast<std::size_t>(i);
      truth.push_back((at(i) - mean) / std::sqrt(var + 1e-5) * static_cast<f64>(scale[k]) + static_cast<f64>(bias[k]));
    }
  }
  const auto y = layer_norm<f32>(dev, tensor<X<P<data>>>(dev, {}, x), tensor<X<P<>, Shape<width>>>(dev, {}, scale),
                                 tensor<X<P<>, Shape<width>>>(dev, {}, bias), 1e-5f);
  CHECK(error(elements(y), truth) < 1e-6);
}

TEST_CASE("a scale that is sharded shards the result, for free") {
  Host dev(1);
  const auto norm = [](auto& d, const auto& x, const auto& s, const auto& b) {
    return layer_norm<f32>(d, x, s, b, 1e-5f);
  };
  const auto x = pair<X<P<data>>>(dev, 1);
  const auto bias = pair<X<P<>, Shape<width>>>(dev, 3);
  check_local(dev, norm, x, pair<X<P<>, Shape<width>>>(dev, 2), bias);
  const auto y = check_local(dev, norm, x, pair<X<P<model>, Shape<width>>>(dev, 2), bias);
  static_assert(std::is_same_v<decltype(y)::spec, P<data, model>>);
  check_local(dev, norm, pair<X<P<data>, Shape<rows, width>, bf16>>(dev, 4), pair<X<P<>, Shape<width>>>(dev, 2), bias);
}
