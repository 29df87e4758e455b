// Processes that NCCL connects: what happens when one does not come, dies, or calls something else.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <thread>

#include <tess/device/cuda/exchange_verbs.hpp>

#include "support/gpus.hpp"

using namespace tess;
using support::has_gpus;

namespace {

struct Ranks : cuda::Base, cuda::ExchangeVerbs<Ranks> {
  using Base::Base;
};

/// f(device, process) in a thread for each of `n` processes; what each of them threw, "" where nothing.
std::vector<std::string> errors_of(int n, double patience, bool same_gpu,
                                   const std::function<void(Ranks&, index_t)>& f) {
  std::vector<std::string> errors(static_cast<std::size_t>(n));
  const std::string id = cuda::make_nccl_id();
  std::vector<std::thread> threads;
  for (int p = 0; p < n; ++p)
    threads.emplace_back([&, p] {
      try {
        cuda::Options o;
        o.gpus = {same_gpu ? 0 : p};
        o.process = p, o.processes = n, o.nccl_id = id, o.patience = patience;
        Ranks device(o);
        f(device, p);
      } catch (const Error& e) {
        errors[static_cast<std::size_t>(p)] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  return errors;
}

/// A sum of `size` ones over all processes, of which this rank has its own.
std::vector<f32> sum_of_ones(Ranks& dev, index_t size) {
  const index_t ranks = dev.places().processes, here = dev.places().process;
  cuda::Gpu& gpu = dev.gpu(0);
  const std::vector<f32> ones(static_cast<std::size_t>(size), 1.0f);
  const auto x = gpu.scratch<f32>(size), y = gpu.scratch<f32>(size);
  gpu.upload(x.get(), ones.data(), size * 4);
  cuda::Ends ends{std::vector<const std::byte*>(static_cast<std::size_t>(ranks)),
                  std::vector<std::byte*>(static_cast<std::size_t>(ranks))};
  ends.from[static_cast<std::size_t>(here)] = reinterpret_cast<const std::byte*>(x.get());
  ends.to[static_cast<std::size_t>(here)] = reinterpret_cast<std::byte*>(y.get());
  Transition t;
  t.what = Collective::all_reduce;
  t.mesh.rank = 1, t.mesh.sizes[0] = ranks, t.from.rank = t.to.rank = 1, t.whole[0] = size;
  t.from.pend(1);
  dev.carry_out<f32>(t, ends);
  std::vector<f32> result(static_cast<std::size_t>(size));
  gpu.download(result.data(), y.get(), size * 4);
  return result;
}

}  // namespace

TEST_CASE("processes that call the same operations get the same sums, again and again") {
  if (!has_gpus(4)) return;
  const auto errors = errors_of(4, 20, false, [](Ranks& dev, index_t) {
    for (index_t turn = 1; turn < 20; ++turn)
      if (sum_of_ones(dev, turn) != std::vector<f32>(static_cast<std::size_t>(turn), 4.0f)) fail("a wrong sum");
  });
  for (const std::string& e : errors) CHECK(e == "");
}

TEST_CASE("a truth that one process knows, all know") {
  if (!has_gpus(3)) return;
  const auto errors = errors_of(3, 20, false, [](Ranks& dev, index_t p) {
    if (!dev.exchange().any(p == 1)) fail("it did not arrive");
    if (dev.exchange().any(false)) fail("nobody said so");
  });
  for (const std::string& e : errors) CHECK(e == "");
}

TEST_CASE("a process that measures alone waits for nobody: what the others would send is what it has") {
  if (!has_gpus(1)) return;
  cuda::Options o;
  o.process = 3, o.processes = 8, o.alone = true;
  Ranks dev(o);
  CHECK(sum_of_ones(dev, 5) == std::vector<f32>(5, 8.0f));
  CHECK(dev.exchange().any(true));
}

#ifdef TESS_EMULATED_ISA  // what goes wrong can be planted there only

namespace {
bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("two ranks on one GPU are refused") {
  REQUIRE(has_gpus(2));
  for (const std::string& e : errors_of(2, 20, true, [](Ranks&dev, index_t) { sum_of_ones(dev, 4); })) {
    CHECK(contains(e, "connecting among ranks 0 1"));
    CHECK(contains(e, "Duplicate GPU"));
  }
}

TEST_CASE("who waits for a process that does not come gives up, and says for whom it waited") {
  REQUIRE(has_gpus(3));
  const auto errors = errors_of(3, 0.3, false, [](Ranks& dev, index_t p) {
    if (p != 1) sum_of_ones(dev, 4);
  });
  CHECK(errors[1] == "");
  for (const std::size_t p : {0u, 2u}) {
    CHECK(contains(errors[p], "connecting among ranks 0 1 2"));
    CHECK(contains(errors[p], "no answer"));
  }
}

TEST_CASE("who waits for a process that calls nothing more gives up; what it calls then is an error at once") {
  REQUIRE(has_gpus(2));
  const auto errors = errors_of(2, 0.3, false, [](Ranks& dev, index_t p) {
    sum_of_ones(dev, 4);
    if (p == 1) return std::this_thread::sleep_for(std::chrono::milliseconds(900));
    try {
      sum_of_ones(dev, 4);
    } catch (const Error& e) {
      CHECK(contains(e.what(), "[nccl] rank 0 of 2, all_reduce among ranks 0 1: no answer"));
      sum_of_ones(dev, 4);
    }
  });
  CHECK(contains(errors[0], "given up before"));
}

TEST_CASE("the death of a process ends the waiting of the others") {
  REQUIRE(has_gpus(2));
  const auto errors = errors_of(2, 20, false, [](Ranks& dev, index_t p) {
    sum_of_ones(dev, 4);
    if (p == 0) sum_of_ones(dev, 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    emulation::lose_a_peer();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  CHECK(contains(errors[0], "remote process exited"));
  CHECK(contains(errors[0], "start all processes again"));
}

TEST_CASE("processes that call different things are told so") {
  REQUIRE(has_gpus(2));
  const auto errors = errors_of(2, 20, false, [](Ranks& dev, index_t p) { sum_of_ones(dev, 4 + p); });
  for (const std::string& e : errors) CHECK(contains(e, "invalid usage"));
}

TEST_CASE("small sums that follow each other closely do not overwrite what a slower GPU still reads") {
  REQUIRE(has_gpus(4));
  const bool before = emulation::set_eager(false);
  {
    cuda::Options o;
    o.gpus = {0, 1, 2, 3};
    Ranks dev(o);
    constexpr index_t size = 300, turns = 12;  // two blocks, or one
    std::vector<std::shared_ptr<f32>> x, y;
    for (index_t turn = 0; turn < turns; ++turn) {
      Transition t;
      t.what = Collective::all_reduce;
      t.mesh.rank = 1, t.mesh.sizes[0] = 4, t.from.rank = t.to.rank = 1, t.whole[0] = turn % 3 == 0 ? size : 3;
      t.from.pend(1);
      cuda::Ends ends;
      for (index_t r = 0; r < 4; ++r) {
        x.push_back(dev.gpu(r).scratch<f32>(size)), y.push_back(dev.gpu(r).scratch<f32>(size));
        const std::vector<f32> values(static_cast<std::size_t>(size), static_cast<f32>(turn + r));
        dev.gpu(r).upload(x.back().get(), values.data(), size * 4);
        ends.from.push_back(reinterpret_cast<const std::byte*>(x.back().get()));
        ends.to.push_back(reinterpret_cast<std::byte*>(y.back().get()));
      }
      dev.carry_out<f32>(t, ends);
    }
    index_t wrong = 0;
    for (index_t turn = 0; turn < turns; ++turn)
      for (index_t r = 0; r < 4; ++r) {
        f32 found[3];
        dev.gpu(r).download(found, y[static_cast<std::size_t>(4 * turn + r)].get(), sizeof(found));
        for (const f32 v : found) wrong += v != static_cast<f32>(4 * turn + 6);
      }
    CHECK(wrong == 0);
  }
  emulation::set_eager(before);
}

#endif
