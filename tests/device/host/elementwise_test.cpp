// The row kernels between the matmuls, against float64.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/elementwise.hpp>

#include <cmath>
#include <vector>

using namespace tess;
using namespace tess::host;

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
