// exp, tanh, silu, gelu: within a few ulp of float64 on every instruction set, and right at the ends.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/apply.hpp>
#include <tess/tensor/math.hpp>

#include <cmath>
#include <limits>
#include <vector>

using namespace tess;
using namespace tess::host;
using math::Exp;
using math::GeluTanh;
using math::Silu;
using math::Tanh;

namespace {
constexpr f32 infinity = std::numeric_limits<f32>::infinity();

template <class Op, class F>
f64 worst_relative_error(f64 low, f64 high, F exact) {
  std::vector<f32> x, y;
  for (int i = 0; i <= 40000; ++i) x.push_back(static_cast<f32>(low + (high - low) * i / 40000));
  for (f32 small = 1e-30f; small < 1.0f; small *= 1.7f)
    if (static_cast<f64>(small) < high) x.push_back(small), x.push_back(-small);
  y.resize(x.size());
  apply([](f32 v) { return Op::apply(v); }, y.data(), static_cast<index_t>(x.size()), x.data());
  f64 worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const f64 expected = exact(static_cast<f64>(x[i]));
    const f64 error = std::fabs(static_cast<f64>(y[i]) - expected) / (std::fabs(expected) + 1e-37);
    worst = error <= worst ? worst : error;
  }
  return worst;
}

template <class Op>
f32 one(f32 x) {
  apply([](f32 v) { return Op::apply(v); }, &x, 1, &x);
  return x;
}
}  // namespace

TEST_CASE("math.is_accurate_on_every_instruction_set") {
  const Cpu before = cpu();
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CAPTURE(name(isa));
    CHECK(worst_relative_error<Exp>(-87.0, 88.7, [](f64 x) { return std::exp(x); }) < 1.5e-7);
    CHECK(worst_relative_error<Tanh>(-12.0, 12.0, [](f64 x) { return std::tanh(x); }) < 3e-7);
    CHECK(worst_relative_error<Silu>(-20.0, 20.0, [](f64 x) { return x / (1 + std::exp(-x)); }) < 4e-7);
    CHECK(worst_relative_error<GeluTanh>(-3.0, 10.0, [](f64 x) {
            return x / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
          }) < 1.5e-6);
  }
  use_cpu(before);
}

TEST_CASE("math.ends") {
  const Cpu before = cpu();
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CHECK(one<Exp>(0.0f) == 1.0f);
    CHECK(one<Exp>(-infinity) == 0.0f);
    CHECK(one<Exp>(-1000.0f) == 0.0f);
    CHECK(one<Exp>(infinity) == infinity);
    CHECK(std::isnan(one<Exp>(std::numeric_limits<f32>::quiet_NaN())));
    CHECK(one<Tanh>(0.0f) == 0.0f);
    CHECK(one<Tanh>(infinity) == 1.0f);
    CHECK(one<Tanh>(-infinity) == -1.0f);
    CHECK(std::isnan(one<Tanh>(std::numeric_limits<f32>::quiet_NaN())));
    CHECK(one<GeluTanh>(0.0f) == 0.0f);
    CHECK(one<GeluTanh>(1e20f) == 1e20f);
    CHECK(one<GeluTanh>(-100.0f) == 0.0f);
    CHECK(std::isnan(one<GeluTanh>(std::numeric_limits<f32>::quiet_NaN())));
    CHECK(one<Silu>(-1000.0f) == 0.0f);
  }
  use_cpu(before);
}
