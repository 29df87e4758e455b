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

TEST_CASE("convert.rounds_to_nearest_even") {
  const f32 x[] = {1.0f, 1.00390625f, 1.01171875f, -0.1f};
  bf16 y[4];
  convert(x, y, 4);
  CHECK(y[0].bits == 0x3f80);
  CHECK(y[1].bits == 0x3f80);  // halfway: to even
  CHECK(y[2].bits == 0x3f82);
  f32 z[4];
  convert(y, z, 4);
  CHECK(z[3] == static_cast<f32>(bf16(-0.1f)));
}

TEST_CASE("rms_norm_row.equals_float64") {
  for (const index_t n : {1, 255, 256, 6144, 6145}) {
    const auto x = wave<bf16>(n), scale = wave<bf16>(n, 1);
    f64 sum = 0;
    for (const bf16 value : x) sum += static_cast<f64>(value) * static_cast<f64>(value);
    CHECK(sum_of_squares(x.data(), n) == doctest::Approx(sum).epsilon(1e-7));
    std::vector<f32> y(static_cast<std::size_t>(n));
    rms_norm_row(x.data(), scale.data(), 1e-5f, y.data(), n);
    for (std::size_t i = 0; i < y.size(); ++i)
      REQUIRE(static_cast<f64>(y[i]) == doctest::Approx(static_cast<f64>(scale[i]) * static_cast<f64>(x[i]) /
                                                        std::sqrt(sum / static_cast<f64>(n) + 1e-5))
                                            .epsilon(1e-6));
  }
}

TEST_CASE("gated.multiplies_the_activated_gate") {
  const auto gate = wave<f32>(300), up = wave<f32>(300, 2);
  std::vector<f32> y(300);
  gated<GeluTanh>(gate.data(), up.data(), y.data(), 300);
  for (std::size_t i = 0; i < 300; ++i) {
    const f64 x = gate[i];
    REQUIRE(
        static_cast<f64>(y[i]) ==
        doctest::Approx(0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x))) * up[i])
            .epsilon(2e-6));
  }
}

TEST_CASE("softmax_row.sums_to_one_and_shifts") {
  for (const index_t n : {1, 8, 1000}) {
    auto x = wave<f32>(n);
    for (f32& value : x) value += 500.0f;
    f64 sum = 0;
    for (const f32 value : x) sum += std::exp(static_cast<f64>(value) - 500.0);
    softmax_row(x.data(), x.data(), n);
    const auto plain = wave<f32>(n);
    for (std::size_t i = 0; i < x.size(); ++i)
      REQUIRE(static_cast<f64>(x[i]) ==
              doctest::Approx(std::exp(static_cast<f64>(plain[i] + 500.0f) - 500.0) / sum).epsilon(1e-6));
  }
}

TEST_CASE("top_k.takes_the_lower_index_of_equals") {
  const f32 x[] = {1, 5, 3, 5, -2, 5, 3};
  f32 value[7];
  i32 index[7];
  top_k(x, 7, 2, value, index);
  CHECK(index[0] == 1);
  CHECK(index[1] == 3);
  top_k(x, 7, 7, value, index);
  const i32 expected[] = {1, 3, 5, 2, 6, 0, 4};
  for (int i = 0; i < 7; ++i) CHECK((index[i] == expected[i] && value[i] == x[expected[i]]));
  const f32 bad[] = {1, std::numeric_limits<f32>::quiet_NaN(), 3};
  top_k(bad, 3, 1, value, index);
  CHECK(index[0] == 1);
  top_k(x, 7, 0, value, index);
}

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
