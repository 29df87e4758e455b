// Scope and parameter_bytes: paths as programs and compilers build them, and the memory of a layer as a constant.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/nn/combinators.hpp>
#include <tess/nn/linear.hpp>
#include <tess/nn/rms_norm.hpp>

namespace {

using namespace tess;

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class T, class S, class Spec>
using Param = ShardedTensor<T, S, Grid, Spec>;

TEST_CASE("a scope is a path, in the compiler too") {
  static_assert((nn::Scope("block") / "attention" / "query").text() == "block/attention/query");
  static_assert((nn::Scope() / "w").text() == "w");
  static_assert(nn::Scope("layer_").numbered(0).text() == "layer_0");
  static_assert(nn::Scope("layer_").numbered(1234567890).text() == "layer_1234567890");
  const nn::Scope joined = nn::Scope("block") / "attention" / "query";
  CHECK(joined.path() == "block/attention/query");
  nn::Scope other("x");
  other = joined;
  CHECK(other.path() == joined.path());
}

TEST_CASE("a path that is too long is an error that says so") {
  nn::Scope scope;
  const auto grow = [&] {
    for (int i = 0; i < 100; ++i) scope = scope / "module";
  };
  CHECK_THROWS_WITH_AS(grow(), "[nn] a parameter's path has more than 256 characters", Error);
}

TEST_CASE("memory of a layer's parameters, on one device, is a constant") {
  using Up = nn::Linear<Param<packed<q8<1>>, Shape<32, 64>, P<data, model>>, Param<f32, Shape<64>, P<model>>>;
  using Down = nn::Linear<Param<packed<q8<8>>, Shape<64, 32>, P<model, data>>>;
  using Block = nn::Sequential<nn::RMSNorm<Param<f32, Shape<32>, P<>>>, Up, Down>;
  constexpr index_t up = 16 * 16 + 1 * 16 * 2 + 16 * 4, down = 16 * 16 + 2 * 16 * 2, norm = 32 * 4;
  static_assert(nn::parameter_bytes(Up{}) == up);
  static_assert(nn::parameter_bytes(Down{}) == down);
  static_assert(nn::parameter_bytes(Block{}) == norm + up + down);
  CHECK(nn::parameter_bytes(nn::Repeat<5, Block>{}) == 5 * (norm + up + down));
}

}  // namespace
