// matmul_heads against the f64 sum, head by head: packed and plain weights, heads and widths sharded, and its bill.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/trace.hpp>
#include <tess/ops/matmul_heads.hpp>

#include "support/tensors.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

constexpr index_t B = 2, T = 3, H = 4, K = 20, N = 36;
using SX = Shape<B, T, H, K>;
using SW = Shape<H, K, N>;

std::vector<f64> truth(const std::vector<f32>& x, const std::vector<f32>& w, f64 addends = 1) {
  std::vector<f64> y(static_cast<std::size_t>(B * T * H * N));
  for (index_t row = 0; row < B * T * H; ++row)
    for (index_t k = 0; k < K; ++k)
      for (index_t n = 0; n < N; ++n)
        y[static_cast<std::size_t>(row * N + n)] +=
            addends * static_cast<f64>(x[static_cast<std::size_t>(row * K + k)]) *
            static_cast<f64>(w[static_cast<std::size_t>((row % H * K + k) * N + n)]);
  return y;
}

/// Weights of element type E through the loader, or plain ones.
template <class M, class PX, class PW, class E, class X = f32>
void agrees(f64 bound) {
  CAPTURE(M::size);
  Host dev(2);
  using Matrices = ShardedTensor<packed<E>, SW, M, PW, Host>;
  Matrices w;
  const auto weights = load(dev, w, {H, K, N}, random(2, H * K * N, 0.3), scale_groups<E>);
  auto values = random(1, B * T * H * K);
  if constexpr (std::is_same_v<X, bf16>)
    for (f32& v : values) v = f32(bf16(v));
  const auto x = tensor<ShardedTensor<X, SX, M, PX, Host>>(dev, {}, values);
  const auto y = matmul_heads(dev, x, w);
  CHECK(error(elements(y), truth(values, weights)) < bound);

  using DryX = ShardedTensor<X, SX, M, PX>;
  using DryW = ShardedTensor<packed<E>, SW, M, PW>;
  constexpr Cost bill =
      trace([](auto& dry, const auto& a, const auto& b) { return matmul_heads(dry, a, b); }, DryX{}, DryW{});
  const index_t per_device = y.local_extents().size();
  CHECK(bill.flops == 2 * per_device * x.local_extent(3));
  check_traffic(dev, bill);

  if constexpr (!is_q8<E>) {
    const auto plain = tensor<ShardedTensor<E, SW, M, PW, Host>>(dev, {}, weights);
    CHECK(error(elements(matmul_heads(dev, x, plain)), truth(values, weights)) < bound);
  }
}

template <class M>
using X = ShardedTensor<f32, SX, M, P<data, None, model>>;
template <class M, class Spec>
using W = ShardedTensor<packed<f32>, SW, M, Spec>;
template <class A, class B>
using Result = typename decltype(matmul_heads(std::declval<Dry&>(), std::declval<A>(), std::declval<B>()))::spec;

using M22 = Grid<2, 2>;
static_assert(std::is_same_v<Result<X<M22>, W<M22, P<model>>>, P<data, None, model, None>>);
static_assert(std::is_same_v<Result<ShardedTensor<f32, SX, M22, P<data, None, None, model>>, W<M22, P<None, model>>>,
                             P<data, None, None, None, Partial<model>>>);
static_assert(std::is_same_v<Result<ShardedTensor<f32, SX, M22, P<data>>, W<M22, P<None, None, model>>>,
                             P<data, None, None, model>>);

// Names count on a mesh of one device, too, and nothing is sliced or multiplied while it is pending.
template <class PX, class PW, class M = M22>
constexpr bool fits = std::is_same_v<
    tess::detail::matmul_heads_fact<ShardedTensor<f32, SX, M, PX>, ShardedTensor<packed<f32>, SW, M, PW>>,
    nothing_wrong>;
static_assert(fits<P<data, None, model>, P<model>>);
static_assert(!fits<P<data, None, model>, P<>>);
static_assert(!fits<P<data>, P<model>>);
static_assert(!fits<P<data>, P<model>, Grid<1, 1>>);
static_assert(!fits<P<data, None, model>, P<model, None, data>>);
static_assert(!fits<P<Partial<data>>, P<>>);

}  // namespace

TEST_CASE("every head by its own matrix, on every mesh") {
  agrees<Grid<1, 1>, P<data, None, model>, P<model>, f32>(1e-6);
  agrees<Grid<1, 2>, P<data, None, model>, P<model>, f32>(1e-6);
  agrees<Grid<1, 4>, P<data, None, model>, P<model>, f32>(1e-6);
  agrees<Grid<2, 2>, P<data, None, model>, P<model>, f32>(1e-6);
  agrees<Grid<2, 4>, P<data, None, model>, P<model>, f32>(1e-6);
}
TEST_CASE("heads over two axes, columns over one, and the contracted width sharded: then the sum is pending") {
  agrees<Grid<2, 2>, P<None, None, Axes<model, data>>, P<Axes<model, data>>, f32>(1e-6);
  agrees<Grid<2, 2>, P<data>, P<None, None, model>, f32>(1e-6);
  agrees<Grid<2, 2>, P<None, None, data, model>, P<data, model>, f32>(1e-6);
}
TEST_CASE("weights of bf16 and int8, and rows of bf16") {
  agrees<Grid<2, 2>, P<data, None, model>, P<model>, bf16>(2e-5);
  agrees<Grid<2, 2>, P<data, None, model>, P<model>, bf16, bf16>(1e-6);
  agrees<Grid<2, 2>, P<data, None, model>, P<model>, q8<1>>(6e-5);
  agrees<Grid<2, 2>, P<data, None, model>, P<model>, q8<5>>(6e-5);
}
TEST_CASE("run-time extents that differ are named") {
  using S = Shape<dyn, dyn, dyn, dyn>;
  Host dev(1);
  const auto x = make<ShardedTensor<f32, S, Grid<1, 1>, P<>, Host>>(dev, Extents<S>(B, T, H, K));
  using WS = Shape<dyn, dyn, dyn>;
  using Weights = ShardedTensor<f32, WS, Grid<1, 1>, P<>, Host>;
  const auto heads = make<Weights>(dev, Extents<WS>(H + 1, K, N)), rows = make<Weights>(dev, Extents<WS>(H, K - 1, N));
  CHECK_THROWS_WITH_AS(matmul_heads(dev, x, heads), doctest::Contains("dimension 2 of x has extent 4"), Error);
  CHECK_THROWS_WITH_AS(matmul_heads(dev, x, rows), doctest::Contains("dimension 3 of x has extent 20"), Error);
}
