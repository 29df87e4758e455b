// The activations against float64, over the range that matters and at its ends.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/nn/activations.hpp>

#include <cmath>

using namespace tess;

TEST_CASE("activations.equal_their_formulas") {
  for (int i = -400; i <= 400; ++i) {
    const f32 x = static_cast<f32>(i) / 40;
    const f64 v = x;
    const f64 gelu = 0.5 * v * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v)));
    CAPTURE(x);
    CHECK(std::fabs(nn::GeluTanh{}(x)-gelu) <= 2e-6 * std::fabs(gelu) + 1e-7);
    CHECK(std::fabs(nn::Silu{}(x)-v / (1 + std::exp(-v))) <= 1e-6 * std::fabs(v));
    CHECK(nn::SquaredRelu{}(x) == (x > 0 ? x * x : 0.0f));
  }
}
