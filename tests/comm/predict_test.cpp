// Predicted time: rooflines, rings within and between hosts, pipelines; each number from a formula written out here.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/comm/predict.hpp>
#include <tess/mesh/make_mesh.hpp>

namespace {

using namespace tess;
struct data;
struct model;

constexpr bool near(double a, double b) {
  const double distance = a < b ? b - a : a - b;
  return distance <= 1e-9 * (b < 0 ? -b : b);
}

/// A machine of round numbers: 2 hosts of 4.
constexpr Machine round_numbers{.name = "round",
                                .hosts = 2,
                                .devices_per_host = 4,
                                .flops = 1e12,
                                .bandwidth = 1e9,
                                .memory = 1000,
                                .within = {.call = 1e-6, .message = 1e-7, .bandwidth = 1e8},
                                .between = {.call = 3e-6, .message = 1e-6, .bandwidth = 1e7}};

constexpr MeshValue grid = mesh_value<Mesh<Axis<data, 2>, Axis<model, 4>>>;
constexpr unsigned over_data = 1, over_model = 2;

TEST_CASE("a roofline is the longer of arithmetic and memory") {
  static_assert(
      near(seconds(WorkLine{.verb = "x", .count = 1, .flops = 5'000'000, .weight_bytes = 10}, round_numbers), 5e-6));
  static_assert(near(
      seconds(
          WorkLine{
              .verb = "x", .count = 1, .flops = 5, .weight_bytes = 500, .cache_bytes = 300, .activation_bytes = 200},
          round_numbers),
      1e-6));
  // Every size has a roofline of its own: one call that computes and one that reads do not hide behind each other.
  constexpr Cost both = [] {
    Cost c;
    c.work.add({.verb = "x", .count = 1, .flops = 5'000'000});
    c.work.add({.verb = "x", .count = 1, .weight_bytes = 5000});
    return c;
  }();
  static_assert(near(predict(both, round_numbers, grid).compute, 10e-6));
  CHECK(near(predict(both, round_numbers, grid).total(), 10e-6));
}

TEST_CASE("devices fill hosts in order, unless the mesh names its hosts") {
  static_assert(place_group(round_numbers, grid, over_model).hosts == 1);
  static_assert(place_group(round_numbers, grid, over_data).hosts == 2);
  static_assert(place_group(round_numbers, grid, over_data).in_host == 1);
  static_assert(place_group(round_numbers, grid, over_data | over_model).in_host == 4);
  constexpr MeshValue tall =
      mesh_value<Mesh<Axis<data, 4>, Axis<model, 2>>>;  // data 0, 1 in host 0, data 2, 3 in host 1
  static_assert(place_group(round_numbers, tall, over_data).in_host == 2);
  static_assert(place_group(h100x8, mesh_value<Mesh<Axis<data, 2>, Axis<model, 4>>>, over_data).hosts == 1);

  // Two hosts along `model`: groups over data stay at home.
  constexpr MeshValue hybrid = mesh_value<make_mesh<Local<2, 2>, Between<1, 2>, data, model>>;
  static_assert(hybrid.rank >= 2 && hybrid.devices() == 8);
  unsigned data_positions = 0, model_positions = 0;
  for (int a = 0; a < hybrid.rank; ++a) (a == 0 ? data_positions : model_positions) |= 1u << a;
  CHECK(place_group(round_numbers, hybrid, data_positions).hosts == 1);
  CHECK(place_group(round_numbers, hybrid, model_positions).hosts == 2);
}

TEST_CASE("a group across an odd border is counted device by device") {
  constexpr Machine odd = [] {
    Machine m = round_numbers;
    m.hosts = 3, m.devices_per_host = 3;
    return m;
  }();
  constexpr MeshValue pairs = mesh_value<Mesh<Axis<data, 3>, Axis<model, 2>>>;  // the pair {2, 3} spans two hosts
  static_assert(place_group(odd, pairs, over_model).hosts == 2 && place_group(odd, pairs, over_model).in_host == 1);
}

TEST_CASE("a ring within a host: its start, its messages, its bytes") {
  constexpr TransferLine t{
      .kind = Collective::all_gather, .axes = over_model, .devices = 4, .count = 2, .messages = 6, .bytes = 1000};
  static_assert(near(seconds(t, round_numbers, grid), 2 * 1e-6 + 6 * 1e-7 + 1000 / 1e8));
}

TEST_CASE("a ring between hosts crosses a border once, through the ports of all members there") {
  // All eight devices: four in a host, so 4 · 1e7 bytes/s; of seven hops one crosses.
  constexpr TransferLine all{.kind = Collective::reduce_scatter,
                             .axes = over_data | over_model,
                             .devices = 8,
                             .count = 1,
                             .messages = 7,
                             .bytes = 1000};
  static_assert(near(seconds(all, round_numbers, grid), 3e-6 + (1 * 1e-6 + 6 * 1e-7) + 1000 / 4e7));
  // Pairs across the border: one port each, and their only hop crosses.
  constexpr TransferLine pair{
      .kind = Collective::all_gather, .axes = over_data, .devices = 2, .count = 1, .messages = 1, .bytes = 1000};
  static_assert(near(seconds(pair, round_numbers, grid), 3e-6 + 1e-6 + 1000 / 1e7));
}

TEST_CASE("what goes from each to each takes the slow way for the part that comes from other hosts") {
  static constexpr TransferLine t{.kind = Collective::all_to_all,
                                  .axes = over_data | over_model,
                                  .devices = 8,
                                  .count = 1,
                                  .messages = 7,
                                  .bytes = 700};
  // Four of seven peers are in the other host: 400 bytes at 1e7; the 300 others at 1e8 meanwhile.
  static_assert(near(seconds(t, round_numbers, grid), 3e-6 + 4 * 1e-6 + 3 * 1e-7 + 400 / 1e7));
  constexpr Cost bill = [] {
    Cost c;
    c.transfers.add(t);
    c.transfers.add(
        {.kind = Collective::all_gather, .axes = over_model, .devices = 4, .count = 1, .messages = 3, .bytes = 9});
    return c;
  }();
  static_assert(bytes_between_hosts(bill, round_numbers, grid) == 700);
  static_assert(bytes_between_hosts(bill, h100x8, grid) == 0);
  CHECK(bill.bytes_between_hosts() == 0);  // the type of this mesh names no hosts
}

TEST_CASE("C = α C_data + β C_tensor + γ C_pipe: terms by axis, weighted by what is exposed") {
  constexpr Cost bill = [] {
    Cost c;
    c.transfers.add(
        {.kind = Collective::all_gather, .axes = over_model, .devices = 4, .count = 1, .messages = 3, .bytes = 100});
    c.transfers.add(
        {.kind = Collective::all_reduce, .axes = over_data, .devices = 2, .count = 1, .messages = 2, .bytes = 50});
    return c;
  }();
  constexpr Prediction p = predict(bill, round_numbers, grid, {.data_axes = over_data});
  constexpr double tensor = 1e-6 + 3e-7 + 100 / 1e8, dat = 3e-6 + 2e-6 + 50 / 1e7;
  static_assert(near(p.tensor, tensor) && near(p.data, dat) && p.pipe == 0 && p.bubble == 0);
  static_assert(near(p.communication(), tensor + dat));
  static_assert(near(p.communication(0.5, 1, 1), tensor + dat / 2));  // half of the data term hidden behind computing
  CHECK(near(p.total(), tensor + dat));
}

TEST_CASE("a pipeline waits (p - 1) / (m + p - 1) of its time") {
  constexpr Pipeline four_stages{.stages = 4, .microbatches = 8};
  static_assert(near(four_stages.bubble(), 3.0 / 11) && near(four_stages.overhead(), 0.375));
  static_assert(near(Pipeline{.stages = 4, .microbatches = 8, .chunks = 2}.overhead(), 3.0 / 16));
  static_assert(Pipeline{}.bubble() == 0 && Pipeline{}.passes() == 0 && Pipeline{.microbatches = 8}.passes() == 0);
  static_assert(four_stages.passes() == 3 + 7);
  // A simulation of the ticks: stage s works on microbatch i at tick s + i, or waits.
  for (index_t p = 1; p <= 6; ++p)
    for (index_t m = 1; m <= 9; ++m) {
      index_t ticks = 0;
      for (index_t s = 0; s < p; ++s)
        for (index_t i = 0; i < m; ++i) ticks = s + i + 1 > ticks ? s + i + 1 : ticks;
      const Pipeline pipe{.stages = p, .microbatches = m};
      CHECK(near(pipe.bubble() * static_cast<double>(ticks), static_cast<double>(ticks - m)));
      CHECK(near(pipe.overhead() * static_cast<double>(m), static_cast<double>(ticks - m)));
    }
}

TEST_CASE("a pipelined bill: m microbatches over p stages, a wait, and what stages hand on") {
  constexpr Cost microbatch = [] {
    Cost c;
    c.work.add({.verb = "x", .count = 1, .flops = 8'000'000});  // 8 µs
    return c;
  }();
  constexpr Parallelism how{.pipeline = {.stages = 4, .microbatches = 8}, .boundary_bytes = 100};
  constexpr Prediction p = predict(microbatch, round_numbers, grid, how);
  static_assert(near(p.compute, 16e-6));    // each stage: 8 microbatches, 2 µs each
  static_assert(near(p.bubble, 3 * 2e-6));  // three ticks of waiting
  static_assert(near(p.pipe, 10 * (3e-6 + 1e-6 + 100 / 1e7)));
  CHECK(near(p.total(), 22e-6 + p.pipe));
}

TEST_CASE("machines by their data sheets") {
  static_assert(h100x8.devices() == 8 && h100x16.devices() == 16 && h100x16.hosts == 2);
  static_assert(h100x8.flops == 989e12 && h100x8.bandwidth == 3.35e12 && h200x8.bandwidth == 4.8e12);
  // NCCL's own model of a small all-reduce of eight: 6.6 + 14 · 0.6 = 15 µs.
  constexpr TransferLine small{
      .kind = Collective::all_reduce, .axes = 1, .devices = 8, .count = 1, .messages = 14, .bytes = 0};
  static_assert(near(seconds(small, h100x8, mesh_value<Mesh<Axis<model, 8>>>), 15e-6));
  // As the planner's policy: ticks of a femtosecond.
  static_assert(links_of(h100x8).within.message == 600'000'000 && links_of(h100x8).within.byte == 2222);
  static_assert(links_of(h100x8).between.byte == 20000 && links_of(h100x8).call == 6'600'000'000);
  // A CPU gives each of its simulated devices a share.
  static_assert(near(cpu(4).bandwidth, cpu().bandwidth / 4) && near(cpu(4).flops, cpu().flops / 4));
  CHECK(cpu(1, {.stream = 2e10}).bandwidth == 2e10);
}

}  // namespace
