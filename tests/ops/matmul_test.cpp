// Products with weights of every type: against a sum in f64, and the same on every mesh.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/ops/matmul.hpp>
#include <tess/ops/reshard.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t rows = 6, K = 64, N = 48;

/// x [6, 64] · w [64, 48], sums finished: at most `bound` from the f64 product of the numbers that the weight holds.
template <class M, class E, class Spec, class WeightSpec, index_t G = 1>
void multiplies(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  const auto values = random(1, rows * K, 1.2345);
  const auto source =
      tensor<ShardedTensor<f32, Shape<dyn, K>, M, Spec, Host>>(dev, Extents<Shape<dyn, K>>(rows), values);
  ShardedTensor<packed<E>, Shape<K, N>, M, WeightSpec, Host> w;
  const auto held = load(dev, w, {K, N}, random(2, K * N), G);
  const auto truth = product(widened(values), held, K, N);
  CHECK(error(elements(reduce(dev, matmul(dev, source, w))), truth) <= bound);
}

/// One device, columns, rows, both, and over two axes.
template <class E, index_t G = 1>
void on_every_mesh(f64 bound) {
  multiplies<Grid<1, 1>, E, P<>, P<>, G>(bound);
  multiplies<Grid<2, 2>, E, P<data>, P<None, model>, G>(bound);
  multiplies<Grid<2, 2>, E, P<data, model>, P<model>, G>(bound);
  multiplies<Grid<2, 4>, E, P<None, model>, P<model, data>, G>(bound);
  multiplies<Grid<2, 4>, E, P<None, Axes<data, model>>, P<Axes<data, model>>, G>(bound);
}

// A sum of 64 products against its largest result. bf16 weights take x in two terms of 8 bits, int8 ones in two of 7.
constexpr f64 f32_bound = 5e-7, bf16_bound = 5e-6, q8_bound = 5e-5;

}  // namespace

TEST_CASE("f32 weights") { on_every_mesh<f32>(f32_bound); }
TEST_CASE("bf16 weights") { on_every_mesh<bf16>(bf16_bound); }
TEST_CASE("int8 weights, one scale a column") { on_every_mesh<q8<1>>(q8_bound); }
TEST_CASE("int8 weights in 8 groups, also where a group lies on two devices") {
  on_every_mesh<q8<8>, 8>(q8_bound);
  multiplies<Grid<1, 16>, q8<8>, P<None, model>, P<model>, 8>(q8_bound);
}
TEST_CASE("int8 weights whose number of groups the checkpoint tells") { on_every_mesh<q8<dyn>, 4>(q8_bound); }

TEST_CASE("a product of rows on one device is the same bits as that of all rows: rows do not see each other") {
  Host dev(1);
  const auto values = random(1, 4 * K);
  ShardedTensor<packed<q8<1>>, Shape<K, N>, Grid<1, 1>, P<>, Host> w;
  load(dev, w, {K, N}, random(2, K * N));
  using X = ShardedTensor<f32, Shape<dyn, K>, Grid<1, 1>, P<>, Host>;
  const auto all = elements(matmul(dev, tensor<X>(dev, Extents<Shape<dyn, K>>(4), values), w));
  for (index_t m = 0; m < 4; ++m) {
    const auto one = elements(matmul(dev,
                                     tensor<X>(dev, Extents<Shape<dyn, K>>(1),
                                               std::vector<f32>(values.begin() + m * K, values.begin() + (m + 1) * K)),
                                     w));
    CHECK(std::equal(one.begin(), one.end(), all.begin() + m * N));
  }
}

TEST_CASE("weights that are not packed give the same product") {
  Host dev(1);
  const auto x = tensor<ShardedTensor<f32, Shape<rows, K>, Grid<1, 2>, P<None, model>, Host>>(
      dev, {}, random(1, rows * K, 1.2345));
  const auto w = tensor<ShardedTensor<f32, Shape<K, N>, Grid<1, 2>, P<model>, Host>>(dev, {}, random(2, K * N));
  ShardedTensor<packed<f32>, Shape<K, N>, Grid<1, 2>, P<model>, Host> v;
  load(dev, v, {K, N}, random(2, K * N));
  CHECK(elements(matmul(dev, x, w)) == elements(matmul(dev, x, v)));
}

TEST_CASE("bf16 in and out: one rounding at the end") {
  Host dev(1);
  const auto values = random(1, rows * K, 1.2345);
  const auto x = tensor<ShardedTensor<bf16, Shape<rows, K>, Grid<1, 1>, P<>, Host>>(dev, {}, values);
  ShardedTensor<packed<bf16>, Shape<K, N>, Grid<1, 1>, P<>, Host> w;
  load(dev, w, {K, N}, random(2, K * N));
  const auto y = elements(matmul<bf16>(dev, x, w));
  const auto wide = elements(matmul(dev, x, w));
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i].bits == bf16(wide[i]).bits);
}

TEST_CASE("run-time extents that differ are an error that names both") {
  Host dev(1);
  using X = ShardedTensor<f32, Shape<2, dyn>, Grid<1, 1>, P<>, Host>;
  const auto x = tensor<X>(dev, Extents<Shape<2, dyn>>(K + 1), random(1, 2 * (K + 1)));
  ShardedTensor<packed<f32>, Shape<K, N>, Grid<1, 1>, P<>, Host> w;
  load(dev, w, {K, N}, random(2, K * N));
  CHECK_THROWS_WITH_AS(matmul(dev, x, w),
                       "[matmul] contracted_extents_differ: the left operand's last dimension has extent 65, the right "
                       "operand's first 64",
                       Error);
}
