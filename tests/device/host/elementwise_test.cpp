// The row kernels between the matmuls, against float64.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/elementwise.hpp>

#include <cmath>
#include <limits>
#include <vector>

using namespace tess;
using namespace tess::host;

namespace {
template <class T>
std::vector<T> wave(index_t n, f64 phase = 0) {
  std::vector<T> x;
  for (index_t i = 0; i < n; ++i)
    x.push_back(static_cast<T>(static_cast<f32>(3 * std::sin(static_cast<f64>(i) * 1.7 + phase))));
  return x;
}
}  // namespace

TEST_CASE("rotary.turns_halves_by_the_position") {
  const index_t rows = 3, heads = 2, D = 10;
  const auto x = wave<f32>(rows * heads * D);
  const index_t positions[] = {0, 5, 8191};
  std::vector<f32> y(x.size());
  Rotary(D).apply(x.data(), y.data(), positions, rows, heads);
  for (index_t r = 0; r < rows; ++r)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < D / 2; ++i) {
        const f32 frequency =
            1.0f / static_cast<f32>(std::pow(10000.0, 2.0 * static_cast<f64>(i) / static_cast<f64>(D)));
        const f64 angle = static_cast<f64>(static_cast<f32>(positions[r]) * frequency);
        const auto at = static_cast<std::size_t>((r * heads + h) * D + i);
        const auto half = static_cast<std::size_t>(D / 2);
        const f64 a = x[at], b = x[at + half];
        REQUIRE(static_cast<f64>(y[at]) == doctest::Approx(a * std::cos(angle) - b * std::sin(angle)).epsilon(1e-6));
        REQUIRE(static_cast<f64>(y[at + half]) ==
                doctest::Approx(b * std::cos(angle) + a * std::sin(angle)).epsilon(1e-6));
        if (r == 0) REQUIRE((y[at] == x[at] && y[at + half] == x[at + half]));
      }
  auto in_place = x;
  Rotary(D).apply(in_place.data(), in_place.data(), positions, rows, heads);
  CHECK(in_place == y);
}
TEST_CASE("sum_of_squares_and_scale_row.make_rms_norm") {
  for (const index_t n : {1, 15, 16, 255, 256, 257, 6144}) {
    std::vector<bf16> x(static_cast<std::size_t>(n));
    std::vector<f32> scale(x.size()), y(x.size());
    f64 sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = bf16(std::sin(static_cast<f32>(i) * 1.7f + 1) * 3);
      scale[i] = std::cos(static_cast<f32>(i));
      sum += static_cast<f64>(x[i]) * static_cast<f64>(x[i]);
    }
    CHECK(std::fabs(sum_of_squares(x.data(), n) - sum) <= 1e-6 * sum);
    const f32 factor = static_cast<f32>(1 / std::sqrt(sum / static_cast<f64>(n)));
    scale_row(x.data(), scale.data(), factor, y.data(), n);
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(std::fabs(y[i] - scale[i] * (static_cast<f32>(x[i]) * factor)) <= 1e-6f * std::fabs(y[i]));
  }
}
