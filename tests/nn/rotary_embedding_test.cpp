// RotaryEmbedding: positions as rotations (the angles themselves: ops/attention_test.cpp).
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/rotary_embedding.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {
struct model;
using M = Mesh<Axis<model, 1>>;
}  // namespace

TEST_CASE("lengths stay, and only distances enter products") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<1, 1, 1, 16>, M, P<>, Host>;
  const auto q = tensor<X>(dev, {}, random(1, 16)), k = tensor<X>(dev, {}, random(2, 16));
  const nn::RotaryEmbedding<> rotary;
  const auto dot_at = [&](const X& a, index_t at_a, const X& b, index_t at_b) {
    const Segment first[] = {{0, at_a, 1}}, second[] = {{0, at_b, 1}};
    const auto u = elements(rotary(dev, a, first)), v = elements(rotary(dev, b, second));
    f64 sum = 0;
    for (std::size_t i = 0; i < u.size(); ++i) sum += static_cast<f64>(u[i]) * static_cast<f64>(v[i]);
    return sum;
  };
  CHECK(dot_at(q, 77, q, 77) == doctest::Approx(dot_at(q, 0, q, 0)).epsilon(1e-6));
  CHECK(dot_at(q, 9, k, 4) == doctest::Approx(dot_at(q, 105, k, 100)).epsilon(1e-5));
  CHECK(dot_at(q, 9, k, 4) != doctest::Approx(dot_at(q, 9, k, 5)).epsilon(1e-3));
}

TEST_CASE("position 0 is not turned, and base is the layer's") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<1, 2, 1, 8>, M, P<>, Host>;
  const auto x = tensor<X>(dev, {}, random(1, 16));
  const Segment rows[] = {{0, 0, 2}};
  const auto y = elements(nn::RotaryEmbedding<>{{.base = 100}}(dev, x, rows)),
             other = elements(nn::RotaryEmbedding<>{}(dev, x, rows));
  CHECK(std::equal(y.begin(), y.begin() + 8, elements(x).begin()));
  const f64 angle = std::pow(100.0, -2.0 * 1 / 8);  // of the second pair, one token on
  const auto before = elements(x);
  CHECK(static_cast<f64>(y[9]) ==
        doctest::Approx(static_cast<f64>(before[9]) * std::cos(angle) - static_cast<f64>(before[13]) * std::sin(angle))
            .epsilon(1e-6));
  CHECK(y != other);
}
