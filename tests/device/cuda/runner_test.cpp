// The runner on GPUs: recorded steps are replayed, tokens come back; every request is continued as if alone.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/replay.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/generate/engine.hpp>

namespace {
using namespace tess;
using namespace tess::generate;

struct data;
struct model;
template <index_t D, index_t T>
using MeshOf = Mesh<Axis<data, D>, Axis<model, T>>;

struct Device : cuda::Base, cuda::ExchangeVerbs<Device>, cuda::ReplayVerbs<Device> {
  explicit Device(const cuda::Options& options = {}) : Base(options) {}
};

constexpr i32 vocabulary = 50;
constexpr i32 begin = 7;
constexpr i32 after(i32 hash, i32 token) { return (hash * 31 + token + 1) % 9973; }

/// One block a row: logits that say the hash of all tokens of its slot so far.
__global__ void remember(const i32* tokens, i32* hashes, const cuda::Row* rows, index_t first, index_t first_slot,
                         index_t width, f32* logits) {
  const index_t b = blockIdx.x;
  const cuda::Row row = rows[first + b];
  i32& slot = hashes[row.slot - first_slot];
  i32 hash = row.start == 0 ? begin : slot;
  for (index_t t = 0; t < row.count; ++t) hash = after(hash, tokens[(first + b) * width + t]);
  if (row.count > 0) slot = hash;
  for (index_t v = 0; v < vocabulary; ++v) logits[b * vocabulary + v] = v == hash % vocabulary ? 1.0f : 0.0f;
}

/// The next token is a hash of all before it, which the device remembers by slot: a slot that is mixed up with another, or
/// a step that is replayed with the rows or tokens of another, changes everything that follows.
template <class M, bool NeedsHost = false>
struct Hashing {
  using mesh = M;
  using Logits = ShardedTensor<f32, Shape<dyn, dyn, dyn>, M, P<data, None, None>, Device>;
  using Memory = ShardedTensor<i32, Shape<dyn>, M, P<data>, Device>;
  mutable index_t calls = 0;

  Memory init_memory(Device& dev, index_t slots, index_t) const {
    return make_state<Memory>(dev, Extents<Shape<dyn>>{slots});
  }
  Logits operator()(Device& dev, const Tokens<M, Device>& tokens, Memory& memory, Segments rows) const {
    ++calls;
    if (NeedsHost) dev.needs_host();
    auto logits = make<Logits>(dev, Extents<Shape<dyn, dyn, dyn>>{tokens.extent(0), 1, vocabulary});
    dev.each_rank<Logits>([&](index_t r, cuda::Gpu& gpu) {
      const index_t part = shard_index<M>(Logits::sharding[0], r), batch = logits.local_extent(0);
      gpu.run(remember, {.grid = cuda::blocks(batch), .block = 1}, tokens.storage().data(r), memory.storage().data(r),
              dev.inputs().rows(gpu, rows), part * batch, part * memory.local_extent(0), tokens.extent(1),
              logits.storage().data(r));
    });
    return logits;
  }
};

std::vector<i32> expected(const std::vector<i32>& prompt, index_t count) {
  i32 hash = begin;
  for (const i32 t : prompt) hash = after(hash, t);
  std::vector<i32> next;
  for (index_t i = 0; i < count; ++i) {
    next.push_back(hash % vocabulary);
    hash = after(hash, next.back());
  }
  return next;
}
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (const index_t size : {1, 5, 1100, 2, 513, 3, 9}) {
    Request r{.prompt = {}, .max_tokens = 2 + size % 7, .settings = {.temperature = 0}};
    for (index_t i = 0; i < size; ++i) r.prompt.push_back(static_cast<i32>((i * i + size) % vocabulary));
    requests.push_back(r);
  }
  return requests;
}

TEST_CASE_TEMPLATE("every request is continued as if it were alone, by recorded steps", LM, Hashing<MeshOf<1, 1>>,
                   Hashing<MeshOf<1, 2>>, Hashing<MeshOf<2, 2>>, Hashing<MeshOf<3, 1>>) {
  const auto requests = mixed_requests();
  for (const index_t slots : {1, 3, 16}) {
    CAPTURE(slots);
    Device dev;
    const LM model;
    Runner<LM, Device> runner(dev, model, slots, 1200);
    for (int again = 0; again < 2; ++again) {
      const auto results = runner.generate(requests);
      for (std::size_t i = 0; i < requests.size(); ++i)
        CHECK(results[i].tokens == expected(requests[i].prompt, requests[i].max_tokens));
    }
    CHECK(dev.recorded_steps() > 0);
    CHECK(model.calls < runner.timing().generated_tokens + 12);  // the others were replayed
  }
}

TEST_CASE("a step that needs the host is computed as it comes") {
  Device dev;
  const Hashing<MeshOf<1, 1>, true> model;
  Runner<Hashing<MeshOf<1, 1>, true>, Device> runner(dev, model, 2, 1200);
  const auto requests = mixed_requests();
  const auto results = runner.generate(requests);
  for (std::size_t i = 0; i < requests.size(); ++i)
    CHECK(results[i].tokens == expected(requests[i].prompt, requests[i].max_tokens));
  CHECK(dev.recorded_steps() == 0);
}

TEST_CASE("an engine makes its device of options") {
  using LM = Hashing<MeshOf<1, 2>>;
  bool loaded = false;
  cuda::Options options;
  options.threads = 1;
  EngineOf<LM, Device> engine(LM{}, options, 2, 64, [&](Device& dev, LM&) { loaded = dev.pool().size() == 1; });
  CHECK(loaded);
  CHECK(engine.threads() == 1);
  const Request r{.prompt = {3, 4}, .max_tokens = 5, .settings = {.temperature = 0}};
  CHECK(engine.generate(std::span(&r, 1), {})[0].tokens == expected(r.prompt, 5));
}

}  // namespace
