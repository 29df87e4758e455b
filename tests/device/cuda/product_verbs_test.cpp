// Products as verbs: matmul, heads, experts and the head of a model give on Cuda what they give on Host.
// SPDX-License-Identifier: Apache-2.0
#include <tess/device/cuda/base.hpp>
#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/product_verbs.hpp>
#include <tess/device/cuda/routing_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/gated.hpp>
#include <tess/ops/matmul.hpp>
#include <tess/ops/matmul_heads.hpp>
#include <tess/ops/take.hpp>

#include "support/both_devices.hpp"

namespace {
using namespace support;

struct model;
using One = Mesh<Axis<model, 1>>;
using Two = Mesh<Axis<model, 2>>;

struct Device : cuda::Base, cuda::ElementVerbs<Device>, cuda::ProductVerbs<Device>, cuda::RoutingVerbs<Device> {
  using Base::Base;
};
template <class T, class S, class M = One, class Spec = P<>>
using On = ShardedTensor<T, S, M, Spec, Host>;
using Rank2 = Shape<dyn, dyn>;
using Rank3 = Shape<dyn, dyn, dyn>;

template <class X, class... N>
auto random(BothDevices<Device>& both, index_t seed, N... extents) {
  return both.random<X>(seed, Extents<typename X::shape>::from({extents...}));
}
template <class X>
auto tensor(BothDevices<Device>& both, const std::array<index_t, 3>& extents, const std::vector<i32>& values) {
  return both.tensor<X>(Extents<typename X::shape>::from(extents), values);
}

constexpr f64 close = 1e-4;  // Host sums int8 weights in int8 terms of x, of 14 bits
constexpr auto times = [](auto& dev, const auto& x, const auto& w) { return matmul(dev, x, w); };

template <class X, class W>
void check_matmul(index_t groups = 1) {
  Device device(cuda::Options{});
  BothDevices both(device);
  for (const index_t rows : {1, 6, 40})  // the last: by tiles
    for (const index_t n : {24, 9}) {
      CAPTURE(rows);
      CAPTURE(n);
      const auto x = random<On<X, Rank3>>(both, 1, rows, 1, 48);
      const auto w = [&] {
        if constexpr (is_packed<W>) return both.template weight<On<W, Rank2>>(2, {48, n}, groups);
        else return random<On<W, Rank2>>(both, 2, 48, n);
      }();
      both.check(close, times, x, w);
      both.check(
          1.0 / 128, [](auto& dev, const auto& a, const auto& b) { return matmul<bf16>(dev, a, b); }, x, w);
    }
}
TEST_CASE("matmul with every kind of weights") {
  check_matmul<f32, packed<f32>>();
  check_matmul<f32, packed<bf16>>();
  check_matmul<f32, packed<q8<1>>>();
  check_matmul<f32, packed<q8<4>>>(4);
  check_matmul<bf16, packed<bf16>>();
  check_matmul<bf16, packed<q8<1>>>();
  check_matmul<f32, f32>();
  check_matmul<f32, bf16>();
  check_matmul<bf16, f32>();
}

TEST_CASE("matmul on a mesh: columns and rows of the weights over two devices") {
  Device device(cuda::Options{});
  BothDevices both(device);
  const auto x = random<On<f32, Rank2, Two>>(both, 1, 3, 40);
  both.check(close, times, x, both.weight<On<packed<q8<2>>, Rank2, Two, P<None, model>>>(2, {40, 20}, 2));
  const auto parts = random<On<f32, Rank2, Two, P<None, model>>>(both, 1, 3, 40);
  both.check(close, times, parts, both.weight<On<packed<bf16>, Rank2, Two, P<model>>>(2, {40, 20}));
  both.check(close, times, parts,
             both.weight<On<packed<q8<1>>, Rank2, Two, P<model>>>(2, {40, 20}));  // half a group each
}

TEST_CASE("the head of a model: x by every row of its embedding") {
  Device device(cuda::Options{});
  BothDevices both(device);
  const auto embedding = both.weight<On<table<bf16>, Rank2, Two, P<model>>>(2, {22, 12});
  for (const index_t rows : {1, 35}) {
    const auto x = random<On<f32, Rank3, Two>>(both, 1, rows, 1, 12);
    both.check(
        close, [](auto& dev, const auto& a, const auto& t) { return matmul_rows(dev, a, t); }, x, embedding);
  }
}

TEST_CASE("matmul_heads: a matrix a head") {
  Device device(cuda::Options{});
  BothDevices both(device);
  constexpr auto heads = [](auto& dev, const auto& x, const auto& w) { return matmul_heads(dev, x, w); };
  for (const index_t tokens : {2, 20}) {
    const auto x = random<On<f32, Shape<dyn, dyn, 4, dyn>, Two, P<None, None, model>>>(both, 1, 2, tokens, 4, 10);
    both.check(close, heads, x, both.weight<On<packed<bf16>, Shape<4, dyn, dyn>, Two, P<model>>>(2, {4, 10, 6}));
    both.check(close, heads, x, random<On<f32, Shape<4, dyn, dyn>, Two, P<model>>>(both, 2, 4, 10, 6));
  }
}

struct GateUp {
  static constexpr index_t operands = 2;
  template <class T>
  constexpr f32 operator()(T g, T u) const {
    return g * (1 + 0.5f * u);
  }
};

TEST_CASE("gated: two products and their function in one") {
  Device device(cuda::Options{});
  BothDevices both(device);
  constexpr auto op = [](auto& dev, const auto& x, const auto& g, const auto& u) {
    return gated(dev, x, g, u, GateUp{});
  };
  for (const index_t rows : {1, 40}) {
    const auto x = random<On<f32, Rank2, Two>>(both, 1, rows, 32);
    using W = On<packed<q8<1>>, Rank2, Two, P<None, model>>;
    both.check(close, op, x, both.weight<W>(2, {32, 20}), both.weight<W>(3, {32, 20}));
  }
}

/// Routes of tokens to 2 of 4 experts, some tokens to one, one to none.
std::vector<i32> some_routes(index_t tokens) {
  std::vector<i32> ids;
  for (index_t t = 0; t < tokens; ++t) {
    ids.push_back(t == 2 ? no_expert : static_cast<i32>(t * 7 % 3));  // nobody wants expert 3 first
    ids.push_back(t % 4 == 2 ? no_expert : static_cast<i32>((t * 7 % 3 + 1) % 4));
  }
  return ids;
}

TEST_CASE("experts: their rows by their matrices, gated, and combined by token") {
  Device device(cuda::Options{});
  BothDevices both(device);
  using Ids = On<i32, Rank3>;
  using Shares = On<f32, Rank3>;
  for (const index_t tokens : {1, 9, 150}) {
    CAPTURE(tokens);
    const auto x = random<On<f32, Rank3>>(both, 1, tokens, 1, 16);
    const auto ids = tensor<Ids>(both, {tokens, 1, 2}, some_routes(tokens));
    const auto shares = random<Shares>(both, 4, tokens, 1, 2);
    const auto gate = both.weight<On<packed<q8<1>>, Rank3>>(5, {4, 16, 24}),
               up = both.weight<On<packed<q8<1>>, Rank3>>(6, {4, 16, 24});
    const auto down = both.weight<On<packed<q8<2>>, Rank3>>(7, {4, 24, 10}, 2);
    both.check(
        close,
        [](auto& dev, const auto& in, const auto& chosen, const auto& weights, const auto& g, const auto& u,
           const auto& d) {
          const Routes<std::decay_t<decltype(chosen)>, std::decay_t<decltype(weights)>> routes{chosen, weights};
          const auto rows = dispatch(dev, in, routes, 4);
          return combine(dev, matmul(dev, gated(dev, rows, g, u, GateUp{}), d), routes);
        },
        x, ids, shares, gate, up, down);
    // down with the combine in one
    const auto on_host = [&](auto& dev, const auto& in, const auto& chosen, const auto& weights, const auto& d) {
      const Routes<std::decay_t<decltype(chosen)>, std::decay_t<decltype(weights)>> routes{chosen, weights};
      const auto rows = dispatch(dev, in, routes, 4);
      if constexpr (std::is_same_v<std::decay_t<decltype(dev)>, Host>) {
        return combine(dev, matmul(dev, rows, d), routes);
      } else {
        auto y = combine(dev, matmul(dev, rows, d), routes);
        dev.grouped_matmul_combine(y, rows.rows, d, rows.offsets, rows.positions, weights);
        return y;
      }
    };
    const auto wide = random<On<f32, Rank3>>(both, 8, tokens, 1, 24);
    both.check(close, on_host, wide, ids, shares, down);
  }
}

TEST_CASE("the number of experts is checked") {
  Device device(cuda::Options{});
  BothDevices both(device);
  const auto x = random<On<f32, Rank3>>(both, 1, 2, 1, 16);
  const auto ids = tensor<On<i32, Rank3>>(both, {2, 1, 1}, std::vector<i32>{0, 2});
  const auto shares = random<On<f32, Rank3>>(both, 4, 2, 1, 1);
  const auto w = both.weight<On<packed<bf16>, Rank3>>(5, {4, 16, 24});
  const Routes<std::decay_t<decltype(ids.device)>, std::decay_t<decltype(shares.device)>> routes{ids.device,
                                                                                                 shares.device};
  const auto rows = dispatch(device, x.device, routes, 3);
  CHECK_THROWS_WITH_AS(matmul(device, rows, w.device),
                       "[matmul] rows are grouped for 3 experts, and there are weights of 4 (MoELayer's expert_count)",
                       Error);
}

}  // namespace
