// rms_norm: against f64, the same bits wherever rows are whole, and one f32 a row over the mesh where they are not.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/rms_norm.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
constexpr index_t rows = 6, width = 96;
constexpr f32 eps = 1e-5f;
using S = Shape<dyn, width>;

/// The result, after checking it against f64 and its traffic against the bill.
template <class Spec>
std::vector<f32> normalised(f64 size) {
  Host dev(2);
  const auto x = random(1, rows * width, size), scale = random(2, width);
  const auto gain = tensor<ShardedTensor<f32, Shape<width>, M, P<>, Host>>(dev, {}, scale);
  const auto y = elements(
      rms_norm_sharded<f32>(dev, tensor<ShardedTensor<f32, S, M, Spec, Host>>(dev, Extents<S>(rows), x), gain, eps));

  std::vector<f64> truth;
  for (index_t r = 0; r < rows; ++r) {
    f64 sum = 0;
    const auto at = [&](index_t i) { return static_cast<f64>(x[static_cast<std::size_t>(r * width + i)]); };
    for (index_t i = 0; i < width; ++i) sum += at(i) * at(i);
    for (index_t i = 0; i < width; ++i)
      truth.push_back(at(i) / std::sqrt(sum / width + static_cast<f64>(eps)) *
                      static_cast<f64>(scale[static_cast<std::size_t>(i)]));
  }
  CHECK(error(y, truth) < 5e-7);

  Dry dry;
  const auto dry_x = make<ShardedTensor<f32, S, M, Spec>>(dry, Extents<S>(rows));
  rms_norm_sharded<f32>(dry, dry_x, ShardedTensor<f32, Shape<width>, M, P<>>{}, eps);
  check_traffic(dev, dry.cost);
  return y;
}

}  // namespace

TEST_CASE("rows that are whole on a device give the same bits on every mesh") {
  CHECK(normalised<P<>>(1) == normalised<P<data>>(1));
}
TEST_CASE("rows that are sharded sum their squares over the mesh") {
  normalised<P<None, model>>(1);
  normalised<P<data, model>>(1);
  normalised<P<None, Axes<data, model>>>(1);
}
TEST_CASE("the scale of the rows does not matter until it meets eps") {
  normalised<P<data, model>>(1e4);
  normalised<P<data, model>>(1e-3);
}
TEST_CASE("a scale of another width is an error") {
  Host dev(1);
  const auto x = tensor<ShardedTensor<f32, S, M, P<>, Host>>(dev, Extents<S>(1), random(1, width));
  const auto scale = tensor<ShardedTensor<f32, Shape<dyn>, M, P<>, Host>>(dev, Extents<Shape<dyn>>(95), random(1, 95));
  CHECK_THROWS_WITH_AS(rms_norm<f32>(dev, x, scale, eps), "[rms_norm] the scale has extent 95, the rows 96", Error);
}
