// trace: the bill of a program as a constant expression, equal to what Host then moves.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/trace.hpp>
#include <tess/io/fill.hpp>
#include <tess/nn/combinators.hpp>
#include <tess/nn/linear.hpp>
#include <tess/nn/rms_norm.hpp>

namespace {

using namespace tess;

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

/// x + down(up(x)), the pair of Megatron-LM: up by columns, down by rows, one sum at the end.
template <class D>
struct Pair {
  template <class T, class S, class Spec>
  using Param = ShardedTensor<T, S, Grid, Spec, D>;
  using Up = nn::Linear<Param<packed<f32>, Shape<32, 64>, P<None, model>>>;
  using Down = nn::Linear<Param<packed<f32>, Shape<64, 32>, P<model, None>>>;
  using Block = nn::Residual<nn::Sequential<Up, Down>>;
  using X = Param<f32, Shape<6, 32>, P<data, None>>;
};
using DryPair = Pair<Dry>;

TEST_CASE("the bill of a layer is a constant") {
  constexpr Cost bill = trace(DryPair::Block{}, DryPair::X{});
  static_assert(bill.collectives == 1);
  static_assert(bill.bytes == 2 * (3 * 32 / 4) * 3 * 4);     // 3 rows of 32 floats, all-reduced among four
  static_assert(bill.flops == 2 * 3 * (32 * 16 + 16 * 32));  // of one device: a quarter of the hidden 64
  static_assert(bill.peak_bytes == 4 * 3 * 3 * 32);          // product, its finished sum, and x plus that
  CHECK(bill == trace(DryPair::Block{}, DryPair::X{}));      // and at run time the same
}

TEST_CASE("a program may be any callable, and change its arguments") {
  constexpr auto count = [] {
    int calls = 0;
    const Cost cost = trace([](auto&, int& n) { ++n; }, calls);
    return cost == Cost{} ? calls : -1;
  };
  static_assert(count() == 1);
}

TEST_CASE("Host moves what the bill says") {
  Host dev(2);
  Pair<Host>::Block block;
  block.parameters(nn::Scope(), [&](const nn::Scope&, auto& w) {
    io::fill(dev, w, [](index_t k, index_t n) { return (k + n) % 3; });
  });
  Pair<Host>::X x;
  io::fill(dev, x, [](index_t i, index_t k) { return i - k; });
  (void)block(dev, x);
  constexpr Cost bill = trace(DryPair::Block{}, DryPair::X{});
  CHECK(dev.traffic().collectives == bill.collectives);
  for (const index_t bytes : dev.traffic().bytes) CHECK(bytes == bill.bytes);
}

}  // namespace
