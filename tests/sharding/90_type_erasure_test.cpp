// Chapter 90, type erasure: take all specs away, and the program computes the same on one device, with nothing to move.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include <tess/io/fill.hpp>
#include <tess/nn/activations.hpp>
#include <tess/ops/elementwise.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

using namespace tess;

namespace {

struct data;
struct model;

template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

// Where the program's tensors lie. The program is the same text for all of these.
struct Erased {
  using x = P<>;
  using hidden = P<>;
  using up = P<>;
  using down = P<>;
};
struct Megatron {  // the batch over data, the hidden layer over model: columns, then rows
  using x = P<data>;
  using hidden = P<data, None, model>;
  using up = P<None, model>;
  using down = P<model, None>;
};
struct SequenceParallel {  // between the products, rows of the sequence are spread over model
  using x = P<data, model>;
  using hidden = P<data, None, model>;
  using up = P<None, model>;
  using down = P<model, None>;
};
struct WeightStationary {  // weights in both dimensions, activations come to them
  using x = P<None, None, data>;
  using hidden = P<None, None, model>;
  using up = P<data, model>;
  using down = P<model, data>;
};

struct Outcome {
  std::vector<f32> values;
  index_t collectives = 0;
  bool operator==(const Outcome& other) const { return values == other.values; }
};

/// A residual feed-forward block, x + down · relu(up · x)². Elements are small whole numbers: every sum is exact.
template <AnyMesh M, class Specs>
Outcome program() {
  Host dev;
  ShardedTensor<f32, Shape<4, 8, 16>, M, typename Specs::x, Host> x;
  ShardedTensor<f32, Shape<16, 32>, M, typename Specs::up, Host> up;
  ShardedTensor<f32, Shape<32, 16>, M, typename Specs::down, Host> down;
  io::fill(dev, x, [](index_t b, index_t t, index_t d) { return (3 * b + 5 * t + d) % 5 - 2; });
  io::fill(dev, up, [](index_t d, index_t h) { return (d + 2 * h) % 3 - 1; });
  io::fill(dev, down, [](index_t h, index_t d) { return (2 * h + d) % 4 - 1; });

  const auto whole = reshard<contracting_spec<decltype(x), decltype(up)>>(dev, x);
  const auto hidden = reshard<typename Specs::hidden>(dev, matmul(dev, whole, up));
  const auto active = map<f32>(dev, nn::SquaredRelu{}, hidden);
  const auto y = reshard<typename Specs::x>(dev, matmul(dev, active, down));
  return {io::to_vector(add(dev, x, y)), dev.traffic().collectives};
}

}  // namespace

// [quote:erased]
TEST_CASE("a program without specs on one device computes what it computes sharded over eight") {
  const Outcome erased = program<Grid<1, 1>, Erased>();
  CHECK(erased.values != std::vector<f32>(erased.values.size()));
  CHECK(program<Grid<2, 4>, Megatron>() == erased);
  CHECK(program<Grid<4, 2>, Megatron>() == erased);
  CHECK(program<Grid<2, 4>, SequenceParallel>() == erased);
  CHECK(program<Grid<2, 4>, WeightStationary>() == erased);
}
// [/quote]

TEST_CASE("on one device no collective runs, with specs and without") {
  CHECK(program<Grid<1, 1>, Erased>().collectives == 0);
  CHECK(program<Grid<1, 1>, Megatron>().collectives == 0);
  CHECK(program<Grid<1, 1>, WeightStationary>().collectives == 0);
  CHECK(program<Grid<1, 1>, WeightStationary>() == program<Grid<1, 1>, Erased>());
}

TEST_CASE("without specs eight devices compute the same eight times, and have nothing to say to each other") {
  const Outcome erased = program<Grid<2, 4>, Erased>();
  CHECK(erased.collectives == 0);
  CHECK(erased == program<Grid<1, 1>, Erased>());
}
