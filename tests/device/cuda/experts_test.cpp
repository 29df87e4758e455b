// Tokens that travel between GPUs to their experts and back: Host's numbers and bytes, on one GPU and on several.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <functional>

#include <tess/device/cuda/element_verbs.hpp>
#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/expert_verbs.hpp>
#include <tess/device/cuda/routing_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/expert_parallel.hpp>

#include "support/both_devices.hpp"
#include "support/expert_travels.hpp"
#include "support/processes.hpp"

using namespace support;

namespace {

struct Gpus : cuda::Base,
              cuda::RoutingVerbs<Gpus>,
              cuda::ExpertVerbs<Gpus>,
              cuda::ElementVerbs<Gpus>,
              cuda::ExchangeVerbs<Gpus> {
  using Base::Base;
};

struct data;
struct expert;
struct model;
template <index_t D, index_t E, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<expert, E>, Axis<model, N>>;
using Cube = Shape<dyn, dyn, dyn>;
template <class T, class M, class Spec>
using Tokens = ShardedTensor<T, Cube, M, Spec, Host>;

constexpr index_t E = 8;

struct Twice {
  constexpr f32 operator()(f32 v) const { return 2 * v; }
};

/// The weighted sum of 2 x + a bias over a token's experts.
constexpr auto here = [](auto& dev, const auto& tokens, const auto& ids, const auto& weights, const auto& bias) {
  const Routes routes{ids, weights};
  const auto rows = dispatch<expert>(dev, tokens, routes, E);
  return combine(dev, add_bias(dev, map<f32>(dev, Twice{}, rows), bias), routes);
};
/// The same, sent there and back.
constexpr auto there = [](auto& dev, const auto& tokens, const auto& ids, const auto& weights, const auto& bias) {
  const auto sent = send_tokens<expert>(dev, tokens, Routes{ids, weights}, E);
  const auto rows = add_bias(dev, map<f32>(dev, Twice{}, dispatch(dev, sent)), bias);
  return return_tokens(dev, combine(dev, rows, sent));
};

template <class T, class M, class Spec, class RouteSpec, class BiasSpec, class Op>
void as_on_host(Gpus& device, Op op, const Chosen& c, index_t width) {
  CAPTURE(M::size);
  CAPTURE(c.k);
  CAPTURE(width);
  BothDevices both(device);
  const auto x = both.template random<Tokens<T, M, Spec>>(1, Extents<Cube>(c.B, c.T, width));
  const auto ids = both.template tensor<Tokens<i32, M, RouteSpec>>(Extents<Cube>(c.B, c.T, c.k), c.experts);
  const auto weights = both.template tensor<Tokens<f32, M, RouteSpec>>(Extents<Cube>(c.B, c.T, c.k), c.weights);
  const auto bias = both.template random<ShardedTensor<f32, Shape<dyn, dyn>, M, BiasSpec, Host>>(
      2, Extents<Shape<dyn, dyn>>(E, width));
  if (device.places().processes == 1) {
    both.check(2e-6, op, x, ids, weights, bias);
  } else {
    const auto truth = op(both.host, x.host, ids.host, weights.host, bias.host);
    device.reset_traffic();
    const auto found = op(device, x.device, ids.device, weights.device, bias.device);
    std::vector<f32> shard(static_cast<std::size_t>(truth.local_extents().size()));
    f64 largest = 0;
    for (index_t r = 0; r < M::size; ++r) {
      if (!device.places().is_here(r)) continue;
      device.gpu_of(r, M::size).download(shard.data(), found.storage().data(r), static_cast<index_t>(shard.size() * 4));
      for (std::size_t i = 0; i < shard.size(); ++i)
        largest =
            std::max(largest, std::abs(static_cast<f64>(shard[i]) - static_cast<f64>(truth.storage().data(r)[i])));
    }
    if (!(largest < 2e-5) || device.traffic().bytes != both.host.traffic().bytes)
      throw Error("process " + std::to_string(device.places().process) + " has other numbers or bytes than Host");
  }
  device.wait();
}

/// f(device) where `gpus` GPUs belong to one process each, or all to one.
void on_gpus(int gpus, bool one_process, cuda::Connection connection, const std::function<void(Gpus&)>& f) {
  if (!has_gpus(gpus)) return;
  cuda::Options options{.patience = 20, .connection = connection};
  const auto run = [&](const cuda::Options& o) {
    Gpus device(o);
    f(device);
  };
  in_processes(gpus, one_process ? 1 : gpus, run, options);
}

/// Bytes are counted as well: those of the tokens that travel, and no others (BothDevices::check).
template <index_t D, index_t G, index_t N>
void travels(Gpus& device) {
  using M = Grid<D, G, N>;
  using Sent = P<Axes<data, expert>>;
  const auto run = [&](const Chosen& c, index_t width) {
    as_on_host<f32, M, Sent, Sent, P<expert>>(device, there, c, width);
  };
  run(random_choices(E, 1, 8, 3, 2), 6);
  run(random_choices(E, 2, 8, 1, 3), 4);
  run(random_choices(E, 3, 8, 3, 2, 3), 5);        // five experts of nobody
  run(random_choices(E, 4, 8, 3, 1, 1), 4);        // all to one
  run(random_choices(E, 5, 8, 2, E), 4);           // every token to all
  run(random_choices(E, 6, 8, 3, 3, E, true), 4);  // dropped choices, and tokens
  run({8, 1, 2, std::vector<i32>(16, no_expert)}, 4);
}

}  // namespace

TEST_CASE("tokens travel to their experts and back on a simulated mesh") {
  on_meshes([]<index_t D, index_t G, index_t N>() {
    Gpus device{cuda::Options{}};
    travels<D, G, N>(device);
  });
  Gpus device{cuda::Options{}};
  using Sent = P<Axes<data, expert>>;
  as_on_host<bf16, Grid<1, 4, 1>, Sent, Sent, P<expert>>(device, there, random_choices(E, 7, 4, 3, 2), 12);
  as_on_host<f32, Grid<1, 2, 1>, Sent, Sent, P<expert>>(device, there, random_choices(E, 8, 2, 600, 2), 3);
}

TEST_CASE("the same between GPUs: by NCCL in one process and in several, by peers, and by copy engines") {
  using Connection = cuda::Connection;
  on_gpus(4, true, Connection::automatic, [](Gpus& device) { travels<1, 4, 1>(device); });
  on_gpus(2, true, Connection::peers, [](Gpus& device) { travels<2, 2, 1>(device); });
  on_gpus(4, true, Connection::copies, [](Gpus& device) { travels<2, 2, 1>(device); });
  on_gpus(4, false, Connection::automatic, [](Gpus& device) { travels<2, 2, 1>(device); });
}

TEST_CASE("every device takes its own experts' rows of tokens that all have") {
  Gpus device{cuda::Options{}};
  const Chosen c = random_choices(E, 1, 4, 3, 3, E, true);
  as_on_host<f32, Grid<1, 4, 1>, P<data>, P<data>, P<expert>>(device, here, c, 6);
  as_on_host<f32, Grid<2, 2, 2>, P<data, None, model>, P<data>, P<expert, model>>(device, here, c, 8);
  as_on_host<f32, Grid<1, 8, 1>, P<data>, P<data>, P<expert>>(device, here, random_choices(E, 2, 1, 600, 2), 3);
}

TEST_CASE("a token that names an expert twice is an error where there is no room for it") {
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  using M = Grid<1, 8, 1>;
  const auto x = both.random<Tokens<f32, M, P<data>>>(1, Extents<Cube>(1, 1, 4));
  const auto ids = both.tensor<Tokens<i32, M, P<data>>>(Extents<Cube>(1, 1, 2), std::vector<i32>{3, 3});
  const auto weights = both.random<Tokens<f32, M, P<data>>>(2, Extents<Cube>(1, 1, 2));
  (void)dispatch<expert>(device, x.device, Routes{ids.device, weights.device}, E);
  CHECK_THROWS_WITH_AS(device.wait(), "[dispatch] a token names one expert several times: 1 rows at most", Error);
}

TEST_CASE("a choice outside the model is an error, also of tokens that travel") {
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  using M = Grid<1, 2, 1>;
  const auto x = both.random<Tokens<f32, M, P<expert>>>(1, Extents<Cube>(2, 1, 4));
  const auto ids = both.tensor<Tokens<i32, M, P<expert>>>(Extents<Cube>(2, 1, 1), std::vector<i32>{3, E});
  const auto weights = both.random<Tokens<f32, M, P<expert>>>(2, Extents<Cube>(2, 1, 1));
  CHECK_THROWS_WITH_AS(
      [&] {
        (void)send_tokens<expert>(device, x.device, Routes{ids.device, weights.device}, E);
        device.wait();
      }(),
      "[dispatch] a token is routed to expert 8, but 8 are declared (MoELayer's expert_count)", Error);
}
