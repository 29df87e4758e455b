// RMSNorm: the operation with its scale as a parameter.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/rms_norm.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
constexpr index_t width = 16;
using X = ShardedTensor<f32, Shape<4, width>, M, P<data, model>, Host>;
template <class Y>
using Norm = nn::RMSNorm<ShardedTensor<f32, Shape<width>, M, P<>, Host>, Y>;

}  // namespace

TEST_CASE("its result is the operation's, in the type that it is told") {
  Host dev(1);
  Norm<f32> norm;
  Norm<bf16> narrow;
  load(dev, norm.scale, {width}, random(2, width));
  narrow.scale = norm.scale;
  const auto x = tensor<X>(dev, {}, random(1, 4 * width));
  const auto y = elements(norm(dev, x));
  CHECK(y == elements(rms_norm_sharded<f32>(dev, x, norm.scale, 1e-5f)));
  const auto z = elements(narrow(dev, x));
  for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(z[i].bits == bf16(y[i]).bits);
}

TEST_CASE("eps is the layer's") {
  Host dev(1);
  Norm<f32> norm;
  load(dev, norm.scale, {width}, random(2, width));
  norm.eps = 3;
  const auto x = tensor<X>(dev, {}, random(1, 4 * width));
  CHECK(elements(norm(dev, x)) == elements(rms_norm_sharded<f32>(dev, x, norm.scale, 3)));
}

TEST_CASE("the name of the parameter") {
  Norm<f32> norm;
  std::vector<std::string> paths;
  norm.parameters(nn::Scope("rms_norm"), [&](const nn::Scope& s, auto&) { paths.push_back(s.path()); });
  CHECK(paths == std::vector<std::string>{"rms_norm/scale"});
}
