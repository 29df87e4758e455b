// Collectives on Cuda: every element on every rank as on Host, and every byte of the bill, whatever connects the ranks.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <functional>

#include <tess/device/cuda/exchange_verbs.hpp>

#include "support/all_specs.hpp"
#include "support/processes.hpp"
#include "support/transitions.hpp"

using namespace support;

namespace {

struct Ranks : cuda::Base, cuda::ExchangeVerbs<Ranks> {
  using Base::Base;
};

/// How the ranks of a mesh are placed and connected.
struct World {
  const char* name;
  int gpus, processes = 1;
  cuda::Connection connection = cuda::Connection::automatic;
  index_t one_shot_bytes = 0;
};

/// f(device) in one process, or in a thread for each process.
void run_in(const World& w, const std::function<void(Ranks&)>& f) {
  const auto run = [&](const cuda::Options& o) {
    Ranks device(o);
    f(device);
  };
  support::in_processes(w.gpus, w.processes, run,
                        {.patience = 20, .connection = w.connection, .one_shot_bytes = w.one_shot_bytes});
}

template <class T>
using ShardsOf = std::vector<std::vector<T>>;

/// One step on a device: of the ranks that are there, `after` is filled. What all ranks receive.
template <class T>
Received step_on(Ranks& dev, const Transition& t, const ShardsOf<T>& before, ShardsOf<T>& after) {
  const index_t ranks = t.mesh.devices();
  cuda::Ends ends;
  std::vector<std::shared_ptr<T>> memory;
  const auto size_after = static_cast<std::size_t>(shard_box(t.mesh, t.to, t.whole, 0).size());
  for (index_t r = 0; r < ranks; ++r) {
    const auto& from = before[static_cast<std::size_t>(r)];
    if (!dev.places().is_here(r)) {
      ends.from.push_back(nullptr), ends.to.push_back(nullptr);
      continue;
    }
    cuda::Gpu& gpu = dev.gpu_of(r, ranks);
    memory.push_back(gpu.scratch<T>(static_cast<index_t>(from.size())));
    ends.from.push_back(reinterpret_cast<const std::byte*>(memory.back().get()));
    gpu.upload(memory.back().get(), from.data(), static_cast<index_t>(from.size() * sizeof(T)));
    memory.push_back(gpu.scratch<T>(static_cast<index_t>(size_after)));
    ends.to.push_back(reinterpret_cast<std::byte*>(memory.back().get()));
  }
  const Received received = dev.carry_out<T>(t, ends);
  for (index_t r = 0; r < ranks; ++r)
    if (ends.target(r)) {
      auto& to = after[static_cast<std::size_t>(r)];
      to.resize(size_after);
      dev.gpu_of(r, ranks).download(to.data(), ends.target(r), static_cast<index_t>(size_after * sizeof(T)));
    }
  return received;
}

/// A step with what is there before and after it, on Host.
struct Case {
  Transition transition;
  Shards before, after;
  Received received;
};
/// All steps of the plans between these specs.
std::vector<Case> cases_of(const MeshValue& mesh, const std::vector<SpecValue>& specs, const AllExtents& extents) {
  std::vector<Case> all;
  static host::ThreadPool pool(1);
  for (const SpecValue& from : specs)
    for (const SpecValue& to : specs) {
      if (from.partial && to.partial && from.kind != to.kind) continue;
      const PlanProblem p{mesh, from, to, extents, sizeof(std::int64_t), FewestBytes::links};
      const Plan plan = find_plan(p);
      REQUIRE(plan.found);
      Shards now = filled(p);
      SpecValue at = plan.source;
      for (int i = 0; i < plan.size; ++i) {
        Case c{{plan[i].what, plan.mesh, at, plan[i].after, extents}, now, Shards(now.size()), {}};
        for (auto& s : c.after)
          s.resize(static_cast<std::size_t>(shard_box(plan.mesh, plan[i].after, extents, 0).size()));
        host::carry_out(
            c.transition, pool, [&](index_t r) { return c.after[static_cast<std::size_t>(r)].data(); },
            [&](index_t r) { return c.before[static_cast<std::size_t>(r)].data(); }, c.received);
        now = c.after, at = plan[i].after;
        all.push_back(std::move(c));
      }
    }
  return all;
}

/// Carries out all of them, and counts what differs from Host.
void check_all(const World& w, const std::vector<Case>& cases) {
  CAPTURE(w.name);
  if (!has_gpus(w.gpus)) return;
  std::vector<Shards> after;
  for (const Case& c : cases) after.emplace_back(c.before.size());
  std::vector<std::vector<Received>> received(static_cast<std::size_t>(w.processes));
  run_in(w, [&](Ranks& dev) {
    for (std::size_t i = 0; i < cases.size(); ++i)
      received[static_cast<std::size_t>(dev.places().process)].push_back(
          step_on<std::int64_t>(dev, cases[i].transition, cases[i].before, after[i]));
  });
  int wrong_values = 0, wrong_counts = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    wrong_values += after[i] != cases[i].after;
    for (const auto& of_process : received) wrong_counts += of_process[i] != cases[i].received;
  }
  CHECK(wrong_values == 0);
  CHECK(wrong_counts == 0);
}

MeshValue grid(std::initializer_list<index_t> sizes) {
  MeshValue m;
  for (const index_t n : sizes) m.sizes[static_cast<std::size_t>(m.rank++)] = n;
  return m;
}
AllExtents extents(std::initializer_list<index_t> of) {
  AllExtents e{};
  std::copy(of.begin(), of.end(), e.begin());
  return e;
}

constexpr World simulated{"ranks share a GPU", 1};
constexpr World shared{"ranks share two GPUs", 2};
constexpr World shared_far{"ranks share two GPUs that do not see each other", 2, 1, cuda::Connection::copies};

}  // namespace

TEST_CASE("every step between all specs of a matrix on a 2x3 mesh, for ranks that share GPUs") {
  const auto cases = cases_of(grid({2, 3}), all_pending_specs(2, 2), extents({12, 18}));
  CHECK(cases.size() > 200);
  for (const World& w : {simulated, shared, shared_far}) check_all(w, cases);
}

TEST_CASE("every step between all specs of a matrix on a 2x4 mesh, for ranks with a GPU each") {
  const auto cases = cases_of(grid({2, 4}), all_pending_specs(2, 2), extents({8, 24}));
  for (const World& w : {World{"peers", 8, 1, cuda::Connection::peers}, World{"copies", 8, 1, cuda::Connection::copies},
                         World{"NCCL", 8}, World{"NCCL, two processes", 8, 2}, World{"NCCL, eight processes", 8, 8},
                         World{"small sums by one kernel", 8, 1, cuda::Connection::automatic, 64 << 10}})
    check_all(w, cases);
}

TEST_CASE("three axes, three dimensions, extents that give odd boxes") {
  auto specs = all_specs(3, 3);
  std::vector<SpecValue> some;
  for (std::size_t i = 0; i < specs.size(); i += 11) some.push_back(specs[i]);
  const auto cases = cases_of(grid({2, 1, 3}), some, extents({6, 18, 30}));
  for (const World& w : {simulated, shared, World{"NCCL", 6}, World{"copies", 6, 1, cuda::Connection::copies}})
    check_all(w, cases);
}

TEST_CASE("maxima and minima") {
  for (const Reduction kind : {Reduction::max, Reduction::min}) {
    auto specs = all_pending_specs(2, 2);
    std::vector<SpecValue> some;
    for (SpecValue s : specs) {
      if (s.partial) s.kind = kind;
      if (s.partial || s[0].count == 1) some.push_back(s);
    }
    const auto cases = cases_of(grid({2, 2}), some, extents({4, 6}));
    for (const World& w : {simulated, World{"NCCL", 4}, World{"NCCL, two processes", 4, 2}}) check_all(w, cases);
  }
}
