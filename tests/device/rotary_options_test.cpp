// Which pairs turn how fast: frequencies and magnitudes as the papers' code writes them, and what is done with them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/host/elementwise.hpp>

using namespace tess;

namespace {

constexpr f64 pi = std::numbers::pi;

/// The rotation of x [rows, heads, D] in f64; pairs (a, b) of the part are given by `pair(i)`.
template <class Pair>
std::vector<f64> turned(const std::vector<f32>& x, index_t rows, index_t heads, index_t D, const index_t* positions,
                        const std::vector<f64>& theta, f64 magnitude, Pair pair) {
  std::vector<f64> y(x.begin(), x.end());
  for (index_t r = 0; r < rows; ++r)
    for (index_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < theta.size(); ++i) {
        const auto [first, second] = pair(static_cast<index_t>(i));
        const auto a = static_cast<std::size_t>((r * heads + h) * D + first),
                   b = static_cast<std::size_t>((r * heads + h) * D + second);
        const f64 angle = static_cast<f64>(positions[r]) * theta[i];
        y[a] = magnitude * (static_cast<f64>(x[a]) * std::cos(angle) - static_cast<f64>(x[b]) * std::sin(angle));
        y[b] = magnitude * (static_cast<f64>(x[b]) * std::cos(angle) + static_cast<f64>(x[a]) * std::sin(angle));
      }
  return y;
}

std::vector<f64> plain(f64 base, index_t D) {
  std::vector<f64> theta;
  for (index_t i = 0; i < D / 2; ++i) theta.push_back(std::pow(base, -2.0 * static_cast<f64>(i) / static_cast<f64>(D)));
  return theta;
}

template <class Pair>
void check(const RotaryOptions& o, index_t D, const std::vector<f64>& theta, f64 magnitude, Pair pair) {
  const index_t rows = 4, heads = 2, positions[] = {0, 5, 8191, 131071};
  std::vector<f32> x, y(static_cast<std::size_t>(rows * heads * D));
  for (std::size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<f32>(3 * std::sin(1.7 * static_cast<f64>(i))));
  const auto expected = turned(x, rows, heads, D, positions, theta, magnitude, pair);
  host::Rotary(D, o).apply(x.data(), y.data(), positions, rows, heads);
  for (std::size_t i = 0; i < y.size(); ++i) {
    CAPTURE(i);
    REQUIRE(std::abs(static_cast<f64>(y[i]) - expected[i]) < 1e-6);
  }
  host::Rotary(D, o).apply(x.data(), x.data(), positions, rows, heads);
  CHECK(x == y);  // in place
}
struct Indices {
  index_t a, b;
};

}  // namespace

TEST_CASE("pairs are halves or neighbours, of all values of a head or of a part") {
  check({}, 10, plain(10000, 10), 1, [](index_t i) { return Indices{i, i + 5}; });
  check({.base = 150000, .pairs = RotaryPairs::neighbours}, 10, plain(150000, 10), 1, [](index_t i) {
    return Indices{2 * i, 2 * i + 1};
  });
  check({.width = 6}, 11, plain(10000, 6), 1, [](index_t i) { return Indices{i, i + 3}; });
  check({.first = 3}, 11, plain(10000, 8), 1, [](index_t i) { return Indices{3 + i, 7 + i}; });
  check({.pairs = RotaryPairs::neighbours, .first = 4, .width = 6, .magnitude = 1.5}, 12, plain(10000, 6), 1.5,
        [](index_t i) {
          return Indices{4 + 2 * i, 5 + 2 * i};
        });
}

TEST_CASE("linear scaling divides every frequency") {
  auto theta = plain(10000, 16);
  for (f64& t : theta) t /= 8;
  check({.scaling = RotaryScaling::linear, .factor = 8}, 16, theta, 1, [](index_t i) { return Indices{i, i + 8}; });
}

TEST_CASE("YaRN: fast pairs as they were, slow ones interpolated, a ramp between, and a magnitude") {
  // transformers' _compute_yarn_parameters: inv_freq = interpolation (1 - e) + extrapolation e, e = 1 - ramp
  const auto yarn = [](f64 base, index_t D, f64 factor, f64 original, f64 fast, f64 slow, bool truncate) {
    const auto correction = [&](f64 turns) {
      return static_cast<f64>(D) * std::log(original / (turns * 2 * pi)) / (2 * std::log(base));
    };
    f64 low = correction(fast), high = correction(slow);
    if (truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, static_cast<f64>(D - 1));
    if (low == high) high += 0.001;
    std::vector<f64> theta;
    for (index_t i = 0; i < D / 2; ++i) {
      const f64 ramp = std::min(1.0, std::max(0.0, (static_cast<f64>(i) - low) / (high - low)));
      const f64 period = std::pow(base, 2 * static_cast<f64>(i) / static_cast<f64>(D)), e = 1 - ramp;
      theta.push_back(1 / (factor * period) * (1 - e) + 1 / period * e);
    }
    return theta;
  };
  const auto halves = [](index_t D) { return [D](index_t i) { return Indices{i, i + D / 2}; }; };
  const f64 stretch = 0.1 * std::log(32.0) + 1;
  RotaryOptions o{
      .base = 150000, .scaling = RotaryScaling::yarn, .factor = 32, .original_positions = 4096, .truncate = false};
  check(o, 64, yarn(150000, 64, 32, 4096, 32, 1, false), stretch, halves(64));  // gpt-oss
  o.truncate = true;
  check(o, 64, yarn(150000, 64, 32, 4096, 32, 1, true), stretch, halves(64));
  o.original_positions = 256;  // the golden's: the ramp begins below the first pair
  check(o, 16, yarn(150000, 16, 32, 256, 32, 1, true), stretch, halves(16));
  o.beta_fast = o.beta_slow = 2;  // a step
  check(o, 16, yarn(150000, 16, 32, 256, 2, 2, true), stretch, halves(16));
  o.magnitude = 1;
  check(o, 16, yarn(150000, 16, 32, 256, 2, 2, true), 1, halves(16));
}

TEST_CASE("YaRN's magnitude") {
  CHECK(yarn_magnitude(40) == doctest::Approx(0.1 * std::log(40.0) + 1));
  CHECK(yarn_magnitude(40, 0.707) == doctest::Approx(0.1 * 0.707 * std::log(40.0) + 1));
  CHECK(yarn_magnitude(1) == 1);
  CHECK(yarn_magnitude(0.5, 2) == 1);
  CHECK(rotary_magnitude({}) == 1);
  CHECK(rotary_magnitude({.scaling = RotaryScaling::linear, .factor = 4}) == 1);
}

TEST_CASE("Llama 3: long waves are divided, short ones stay, and between they blend") {
  const f64 factor = 8, low = 1, high = 4, original = 8192;
  std::vector<f64> theta;
  int kinds[3] = {};
  for (const f64 t : plain(500000, 128)) {
    const f64 wave = 2 * pi / t, smooth = (original / wave - low) / (high - low);
    const int kind = wave < original / high ? 0 : wave > original / low ? 1 : 2;
    ++kinds[kind];
    theta.push_back(kind == 0 ? t : kind == 1 ? t / factor : (1 - smooth) * t / factor + smooth * t);
  }
  for (const int count : kinds) CHECK(count > 0);
  check({.base = 500000, .scaling = RotaryScaling::llama3, .factor = factor, .original_positions = original}, 128,
        theta, 1, [](index_t i) {
          return Indices{i, i + 64};
        });
}

TEST_CASE("rounded: frequencies and angles are f32") {
  const index_t D = 16, positions[] = {8191};
  std::vector<f32> x(static_cast<std::size_t>(D), 1.0f), y(x.size());
  host::Rotary(D, {.rounded = true}).apply(x.data(), y.data(), positions, 1, 1);
  for (index_t i = 0; i < D / 2; ++i) {
    const f32 frequency = 1.0f / static_cast<f32>(std::pow(10000.0, 2.0 * static_cast<f64>(i) / static_cast<f64>(D)));
    const f64 angle = static_cast<f64>(8191.0f * frequency);
    CHECK(static_cast<f64>(y[static_cast<std::size_t>(i)]) ==
          doctest::Approx(std::cos(angle) - std::sin(angle)).epsilon(1e-6));
  }
}
