// fill and to_vector: what is put in by global index comes out in order, on every mesh and for every kind of tensor.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <tess/io/fill.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>
#include <vector>

namespace {

using namespace tess;

struct data;
struct model;
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class T, class S, class M, class Spec>
using Tensor = ShardedTensor<T, S, M, Spec, Host>;

/// [8, 16]: a number for every pair of indices, exact in bf16 and in int32.
constexpr auto numbers = [](index_t i, index_t j) { return 16 * i + j; };

template <class X>
bool round_trips(Host& dev) {
  X x;
  io::fill(dev, x, numbers);
  const auto all = io::to_vector(x);
  bool equal = all.size() == 8 * 16;
  for (std::size_t i = 0; i < all.size(); ++i) equal = equal && static_cast<f32>(all[i]) == static_cast<f32>(i);
  return equal;
}

TEST_CASE("to_vector gives what fill was told, under every spec") {
  Host dev(2);
  using S = Shape<8, 16>;
  CHECK(round_trips<Tensor<f32, S, Grid, P<data, model>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<model, data>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<None, model>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<Axes<data, model>>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<None, Axes<model, data>>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<data, None, Partial<model>>>>(dev));
  CHECK(round_trips<Tensor<f32, S, Grid, P<None, None, Partial<data, model>>>>(dev));
  CHECK(round_trips<Tensor<bf16, S, Grid, P<data, model>>>(dev));
  CHECK(round_trips<Tensor<i32, S, Grid, P<data, model>>>(dev));
  CHECK(round_trips<Tensor<packed<f32>, S, Grid, P<data, model>>>(dev));
  CHECK(round_trips<Tensor<packed<bf16>, S, Grid, P<model, data>>>(dev));
  CHECK(round_trips<Tensor<packed<f32>, S, One, P<data, model>>>(dev));
}

TEST_CASE("every device holds its own slice") {
  Host dev(1);
  Tensor<f32, Shape<8, 16>, Grid, P<data, model>> x;
  io::fill(dev, x, numbers);
  CHECK(x.storage().data(0)[0] == numbers(0, 0));
  CHECK(x.storage().data(3)[0] == numbers(0, 12));
  CHECK(x.storage().data(6)[0] == numbers(4, 8));
  CHECK(x.storage().data(7)[4 * 4 - 1] == numbers(7, 15));
}

TEST_CASE("of a pending sum the addends give the value") {
  Host dev(1);
  Tensor<f32, Shape<8, 16>, Grid, P<data, None, Partial<model>>> x;
  io::fill(dev, x, numbers);
  CHECK(x.storage().data(0)[5] == 5);
  CHECK(x.storage().data(1)[5] == 0);
  CHECK(io::to_vector(reduce(dev, x)) == io::to_vector(x));
}

/// Weights [2, 8, 6] of int8 in two groups of four rows a column.
template <class M, class Spec>
std::vector<f32> quantized(Host& dev) {
  Tensor<packed<q8<2>>, Shape<2, 8, 8>, M, Spec> w;
  io::fill(dev, w, [](index_t e, index_t k, index_t n) {
    return std::sin(static_cast<double>(64 * e + 8 * k + n)) * static_cast<double>(1 + k);
  });
  return io::to_vector(w);
}

TEST_CASE("int8 weights are within half a step, and the same numbers on every mesh") {
  Host dev(2);
  const auto w = quantized<One, P<>>(dev);
  for (index_t e = 0; e < 2; ++e)
    for (index_t n = 0; n < 8; ++n)
      for (index_t group = 0; group < 2; ++group) {
        const auto value = [&](index_t k) {
          return std::sin(static_cast<double>(64 * e + 8 * k + n)) * static_cast<double>(1 + k);
        };
        double largest = 0;
        for (index_t k = 4 * group; k < 4 * group + 4; ++k) largest = std::max(largest, std::abs(value(k)));
        for (index_t k = 4 * group; k < 4 * group + 4; ++k) {
          const double got = static_cast<double>(w[static_cast<std::size_t>((e * 8 + k) * 8 + n)]);
          CHECK(std::abs(got - value(k)) <= largest / 127 * 0.51 + largest * 0x1p-8);
        }
      }
  CHECK(quantized<Grid, P<None, model, data>>(dev) == w);
  CHECK(quantized<Grid, P<None, data, model>>(dev) == w);
  CHECK(quantized<Grid, P<None, Axes<data, model>, None>>(dev) == w);  // a shard of one row, half a group
}

TEST_CASE("a column of zeros is quantised to zeros") {
  Host dev(1);
  Tensor<packed<q8<1>>, Shape<8, 8>, One, P<>> w;
  io::fill(dev, w, [](index_t, index_t n) { return n == 3 ? 0 : 1; });
  const auto all = io::to_vector(w);
  CHECK(all[3] == 0);
  CHECK(all[4] == doctest::Approx(1).epsilon(0.004));
}

TEST_CASE("sizes known only at run time are given, and must divide") {
  Host dev(1);
  using X = Tensor<f32, Shape<dyn, 16>, Grid, P<data, model>>;
  X x;
  CHECK_THROWS_WITH_AS(io::fill(dev, x, numbers), doctest::Contains("dimension 0 has no extent yet"), Error);
  io::fill(dev, x, Extents<Shape<dyn, 16>>(8), numbers);
  CHECK(io::to_vector(x).back() == 127);
  io::fill(dev, x, [](index_t, index_t) { return 1; });  // now it has one
  CHECK(io::to_vector(x) == std::vector<f32>(128, 1));
  CHECK_THROWS_WITH_AS(io::fill(dev, x, Extents<Shape<dyn, 16>>(7), numbers),
                       doctest::Contains("does not divide into 2"), Error);
  Tensor<packed<q8<3>>, Shape<8, 8>, One, P<>> w;
  CHECK_THROWS_WITH_AS(io::fill(dev, w, numbers), doctest::Contains("3 scale groups do not divide 8 rows"), Error);
}

}  // namespace
