// Layers of one type with run-time numbers: the bill of a Repeat is the sum of theirs, however they follow one another.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/nn/combinators.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct model;
using M = Mesh<Axis<model, 1>>;
using X = ShardedTensor<f32, Shape<4>, M, P<>>;

/// x -> x + x, so many times.
struct Doubling {
  index_t times = 1;

  template <class D, class T>
  constexpr T operator()(D& dev, const T& x) const {
    T y = x;
    for (index_t i = 0; i < times; ++i) y = add(dev, y, y);
    return y;
  }
  constexpr bool bills_as(const Doubling& o) const { return times == o.times; }
};
/// The same without the promise to compare: taken for equal.
struct Silent {
  Doubling layer{};
  template <class D, class T>
  constexpr T operator()(D& dev, const T& x) const {
    return layer(dev, x);
  }
};

template <class Layers>
constexpr index_t calls(const Layers& layers) {
  Dry dev;
  layers(dev, make<X>(dev, {}));
  return dev.cost.work.sum([](const WorkLine& line) { return line.count; });
}
template <class Layer>
constexpr index_t of_four(index_t a, index_t b, index_t c, index_t d, auto of) {
  nn::Repeat<4, Layer> layers;
  const index_t times[] = {a, b, c, d};
  for (std::size_t i = 0; i < 4; ++i) layers.blocks[i] = of(times[i]);
  return calls(layers);
}

// Runs of equal layers at the beginning, in the middle, at the end; none equal to its neighbour.
constexpr auto doubling = [](index_t n) { return Doubling{n}; };
static_assert(of_four<Doubling>(2, 2, 2, 2, doubling) == 8);
static_assert(of_four<Doubling>(2, 2, 5, 1, doubling) == 10);
static_assert(of_four<Doubling>(1, 3, 3, 7, doubling) == 14);
static_assert(of_four<Doubling>(1, 0, 4, 4, doubling) == 9);
static_assert(of_four<Doubling>(1, 2, 1, 2, doubling) == 6);

// Through other layers.
using Both = nn::Sequential<Silent, nn::Residual<Doubling>>;
static_assert(of_four<Both>(1, 2, 3, 4, [](index_t n) { return Both{{Silent{}, {{n}}}}; }) == 4 * 2 + 1 + 2 + 3 + 4);
using Choice = nn::Either<Doubling, nn::Parallel<Doubling, Doubling>>;
constexpr auto choice = [](index_t n) { return Choice{{1}, {{Doubling{n}, Doubling{1}}}, n > 1}; };
static_assert(of_four<Choice>(1, 4, 4, 1, choice) == 1 + 6 + 6 + 1);  // two branches and their sum
static_assert(of_four<Choice>(1, 2, 4, 8, choice) == 1 + 4 + 6 + 10);

// A layer that does not say is taken for equal: the first one counts for all.
static_assert(of_four<Silent>(1, 9, 9, 9, [](index_t n) { return Silent{{n}}; }) == 4);

}  // namespace

TEST_CASE("how many layers run does not depend on their bills") {
  Host dev(1);
  using H = ShardedTensor<f32, Shape<4>, M, P<>, Host>;
  nn::Repeat<dyn, Doubling> layers{{{1}, {1}, {3}, {2}}};
  const auto y = elements(layers(dev, tensor<H>(dev, {}, random(1, 4))));
  auto expected = random(1, 4);
  for (f32& v : expected) v *= 128;
  CHECK(y == expected);
}
