// Timeline: Dry writes down what a program does, in order; its schedule ends when the prediction says.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/schedule.hpp>
#include <tess/device/trace.hpp>
#include <tess/nn/combinators.hpp>
#include <tess/nn/linear.hpp>
#include <tess/nn/rms_norm.hpp>
#include <tess/ops/reshard.hpp>

namespace {

using namespace tess;

struct data;
struct model;
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;

template <class T, class S, class Spec>
using Param = ShardedTensor<T, S, Grid, Spec>;
using Up = nn::Linear<Param<packed<f32>, Shape<32, 64>, P<None, model>>>;
using Down = nn::Linear<Param<packed<f32>, Shape<64, 32>, P<model, None>>>;
using Block = nn::Residual<nn::Sequential<nn::RMSNorm<Param<f32, Shape<32>, P<>>>, Up, Down>>;
using Stack = nn::Repeat<3, Block>;
using X = Param<f32, Shape<6, 32>, P<data, None>>;

template <class T>
void number(T& layer) {
  int next = 0;
  layer.parameters(nn::Scope(), [&](const nn::Scope&, auto& w) { w.storage().set_parameter(next++); });
}

struct Heard {
  Timeline timeline;
  Cost cost;
};
template <class F>
Heard listen(const F& program) {
  Heard h;
  Dry dev;
  dev.timeline = &h.timeline;
  const X x = make<X>(dev, {});
  (void)program(dev, x);
  h.cost = dev.cost;
  return h;
}

TEST_CASE("the calls of a block, in order, with the parameters that they read") {
  Block block;
  number(block);
  const Heard h = listen(block);
  std::vector<std::string> calls;
  for (const Event& e : h.timeline.events)
    calls.push_back((e.moves() ? std::string("all_reduce") : std::string(e.work.verb)) + " " +
                    std::to_string(e.parameter));
  CHECK(calls ==
        std::vector<std::string>{"sum_squares -1", "rms_scale 0", "matmul 1", "matmul 2", "all_reduce -1", "map -1"});
  CHECK(h.timeline.repetitions.empty());
}

TEST_CASE("what is written down adds up to the bill") {
  const Heard h = listen(Stack{});
  CHECK(h.timeline.repetitions.size() == 1);
  index_t bytes = 0, flops = 0, collectives = 0, memory = 0;
  for (std::size_t i = 0; i < h.timeline.events.size(); ++i) {
    const Event& e = h.timeline.events[i];
    const index_t n = h.timeline.times(i);
    CHECK(n == 3);
    bytes += n * e.transfer.bytes, collectives += n * e.moves();
    flops += n * e.work.flops, memory += n * e.work.memory_bytes();
  }
  CHECK(bytes == h.cost.bytes);
  CHECK(collectives == h.cost.collectives);
  CHECK(flops == h.cost.flops);
  CHECK(memory == h.cost.memory_bytes());
}

TEST_CASE("nobody has to listen, and the bill is the same") {
  constexpr Cost silent = trace(Stack{}, X{});
  const Heard h = listen(Stack{});
  CHECK(silent.transfers == h.cost.transfers);
  CHECK(silent.work == h.cost.work);
}

TEST_CASE("the ledger of a block, by hand") {
  constexpr Cost bill = trace(Block{}, X{});
  static_assert(bill.transfers.size() == 1);
  constexpr TransferLine sum = bill.transfers[0];
  static_assert(sum.kind == Collective::all_reduce && sum.axes == 2 && sum.devices == 4 && !sum.between_hosts);
  static_assert(sum.count == 1 && sum.messages == 2 * 3 && sum.bytes == 2 * (3 * 32 / 4) * 3 * 4);
  // Three rows a device. Weights: the scale and a quarter of two matrices.
  static_assert(bill.weight_bytes() == 4 * (32 + 32 * 16 + 16 * 32));
  constexpr index_t row = 3 * 32 * 4, hidden = 3 * 16 * 4, number = 3 * 4;
  constexpr index_t norm = (number + row) + (2 * row + number), products = (row + hidden) + (hidden + row),
                    added = 3 * row;
  static_assert(bill.memory_bytes() - bill.weight_bytes() == norm + products + added);
  CHECK(bill.cache_bytes == 0);
}

TEST_CASE("a schedule: one call after the other, repetitions in full, and its end is the prediction") {
  const auto twice = [](Dry& dev, const X& x) {
    const auto y = nn::Residual<nn::Sequential<Up, Down>>{}(dev, x);
    X z = y;
    dev.repeat(5, [&](index_t) { z = Stack{}(dev, z); });  // 15 blocks, as two repetitions, one in the other
    return add(dev, z, y);
  };
  const Heard h = listen(twice);
  CHECK(h.timeline.repetitions.size() == 2);
  for (const Machine& m : {h100x8, cpu(8)}) {
    const Schedule s = schedule(h.timeline, m, mesh_value<Grid>);
    CHECK(s.spans.size() == h.timeline.events.size());
    CHECK(s.end == doctest::Approx(predict(h.cost, m, mesh_value<Grid>).total()).epsilon(1e-12));
    double sum = 0;
    for (std::size_t i = 0; i < s.spans.size(); ++i) {
      sum += static_cast<double>(s.spans[i].times) * s.spans[i].seconds;
      if (i > 0) CHECK(s.spans[i].start >= s.spans[i - 1].start + s.spans[i - 1].seconds * (1 - 1e-12));
    }
    CHECK(sum == doctest::Approx(s.end).epsilon(1e-12));
    CHECK(s.spans.back().times == 1);
    CHECK(s.spans[s.spans.size() - 2].times == 15);
  }
}

TEST_CASE("time, too, is a constant") {
  constexpr Cost bill = trace(Block{}, X{});
  constexpr Prediction time = predict(bill, h100x8, mesh_value<Grid>, {.data_axes = 1});
  static_assert(time.total() < 20e-6 && time.data == 0 && time.tensor > 6.6e-6);
  // 6.6 µs to start, six messages of 0.6 µs, and bytes that hardly count.
  CHECK(time.tensor == doctest::Approx(6.6e-6 + 6 * 0.6e-6 + 576 / 450e9));
}

struct OnH100 {
  static constexpr Links links = links_of(h100x16);
};
template <class Policy>
constexpr Cost moved() {
  using Hosts = Mesh<Axis<data, 2>, Axis<model, 8>>;
  using Few = ShardedTensor<f32, Shape<2, 8, 6144>, Hosts, P<data, None, model>>;
  return trace([](Dry& dev, const Few& x) { return reshard<P<None, None, data>, Policy>(dev, x); }, Few{});
}

TEST_CASE("a machine's wires are a policy of the planner, which then counts starts and messages besides bytes") {
  static_assert(PlanPolicy<OnH100>);
  constexpr MeshValue hosts = mesh_value<Mesh<Axis<data, 2>, Axis<model, 8>>>;
  constexpr double fast = predict(moved<OnH100>(), h100x16, hosts).total(),
                   lean = predict(moved<FewestBytes>(), h100x16, hosts).total();
  static_assert(moved<OnH100>().collectives < moved<FewestBytes>().collectives);
  static_assert(moved<OnH100>().bytes >= moved<FewestBytes>().bytes);
  CHECK(fast < lean);
}

TEST_CASE("caches that a program makes are on its bill") {
  constexpr Cost bill = trace([](Dry& dev) { return make_state<Param<f32, Shape<8, 16>, P<data, model>>>(dev, {}); });
  static_assert(bill.cache_bytes == 8 * 16 * 4 / 8 && bill.peak_bytes == 0);
  CHECK(bill.memory_bytes() == 0);
}

TEST_CASE("shard_bytes counts the rows of scales that a shard touches") {
  static_assert(scale_rows(768, 6144, 8) == 1);   // a shard is a group
  static_assert(scale_rows(6144, 6144, 8) == 8);  // the whole
  static_assert(scale_rows(3072, 6144, 8) == 4);  // half
  static_assert(scale_rows(384, 6144, 8) == 1);   // half a group
  static_assert(scale_rows(1536, 6144, 8) == 2 && scale_rows(6144, 6144, 1) == 1 && scale_rows(0, 6144, 8) == 0);
  static_assert(shard_bytes(Param<packed<q8<8>>, Shape<64, 32>, P<model, data>>{}) == 16 * 16 + 2 * 16 * 2);
  static_assert(shard_bytes(Param<packed<q8<dyn>>, Shape<64, 32>, P<model, data>>{}, 4) == 16 * 16 + 1 * 16 * 2);
  static_assert(shard_bytes(Param<table<bf16>, Shape<64, 32>, P<None, model>>{}) == 64 * 8 * 2);
  // Worst case by counting: shard i of k rows lies in these groups.
  for (const index_t groups : {1, 2, 3, 4, 6, 12})
    for (const index_t shards : {1, 2, 3, 4, 6, 8, 12, 24}) {
      const index_t k = 24 * 12, rows = k / shards, in_group = k / groups;
      index_t most = 0;
      for (index_t i = 0; i < shards; ++i) {
        const index_t touched = ((i + 1) * rows - 1) / in_group - i * rows / in_group + 1;
        most = touched > most ? touched : most;
      }
      CAPTURE(groups);
      CAPTURE(shards);
      CHECK(scale_rows(rows, k, groups) >= most);
      if (rows % in_group == 0 || in_group % rows == 0) CHECK(scale_rows(rows, k, groups) == most);
    }
}

}  // namespace
