// The runner with a model whose next token one can say without it: slots, parts of the mesh, ends, refusals.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include <tess/generate/engine.hpp>

#include "support/files.hpp"

using namespace tess;
using namespace tess::generate;
using namespace tess::test;

namespace {

struct data;
struct expert;
struct tensor;
template <index_t D, index_t E, index_t T>
using MeshOf = Mesh<Axis<data, D>, Axis<expert, E>, Axis<tensor, T>>;

constexpr i32 vocabulary = 50;
constexpr i32 next_of(const std::vector<i32>& history) {
  i32 hash = 7;
  for (const i32 t : history) hash = (hash * 31 + t + 1) % 9973;
  return hash % vocabulary;
}

/// The next token is a hash of all before it, which the model remembers by slot: a slot that is mixed up with another, a
/// token that is seen twice or not at all, or a row from the wrong device changes everything that follows.
template <class M, class Batch>
struct Hashing {
  using mesh = M;
  using Logits = ShardedTensor<f32, Shape<dyn, dyn, dyn>, M, P<Batch, None, None>, Host>;
  struct Memory {
    index_t capacity = 0;
    std::vector<std::vector<i32>> slots{};
  };
  mutable index_t calls = 0, widest = 0;

  Memory init_memory(Host&, index_t slots, index_t capacity) const {
    return {capacity, std::vector<std::vector<i32>>(static_cast<std::size_t>(slots))};
  }
  Logits operator()(Host& dev, const Tokens<M>& tokens, Memory& memory, Segments rows) const {
    const index_t batch = tokens.extent(0), width = tokens.extent(1);
    ++calls, widest = std::max(widest, width);
    auto logits = make<Logits>(dev, Extents<Shape<dyn, dyn, dyn>>{batch, 1, vocabulary});
    const index_t per_part = static_cast<index_t>(memory.slots.size()) * logits.local_extent(0) / batch;
    for (index_t b = 0; b < batch; ++b) {
      const Segment& row = rows[b];
      CHECK(row.slot / per_part == b / logits.local_extent(0));  // a row lies where its slot does
      auto& history = memory.slots[static_cast<std::size_t>(row.slot)];
      if (row.count > 0) history.resize(static_cast<std::size_t>(row.start));
      for (index_t t = 0; t < row.count; ++t) history.push_back(tokens.storage().data(M::size - 1)[b * width + t]);
      CHECK(static_cast<index_t>(history.size()) <= memory.capacity);
      const i32 next = next_of(history);
      for (index_t r = 0; r < M::size; ++r) {
        const auto here = device_slice<typename Logits::spec, M>(logits.extents(), r);
        for (index_t v = 0; v < vocabulary; ++v)
          if (here[0].begin <= b && b < here[0].end)
            logits.storage().data(r)[(b - here[0].begin) * vocabulary + v] = row.count > 0 && v == next ? 1.0f : 0.0f;
      }
    }
    return logits;
  }
};

std::vector<i32> expected(std::vector<i32> history, index_t count) {
  const std::size_t prompt = history.size();
  for (index_t i = 0; i < count; ++i) history.push_back(next_of(history));
  return {history.begin() + static_cast<std::ptrdiff_t>(prompt), history.end()};
}

/// Prompts of 1 to 1100 tokens and as different lengths of what comes.
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (const index_t size : {1, 5, 1100, 2, 513, 3, 9}) {
    Request r{.prompt = {}, .max_tokens = 2 + size % 7, .settings = {.temperature = 0}};
    for (index_t i = 0; i < size; ++i) r.prompt.push_back(static_cast<i32>((i * i + size) % vocabulary));
    requests.push_back(r);
  }
  return requests;
}

}  // namespace

TEST_CASE_TEMPLATE("runner: every request is continued as if it were alone, wherever the rows of a batch lie", LM,
                   Hashing<MeshOf<1, 1, 1>, data>, Hashing<MeshOf<2, 1, 1>, data>, Hashing<MeshOf<2, 1, 2>, data>,
                   Hashing<MeshOf<1, 2, 1>, Axes<data, expert>>, Hashing<MeshOf<2, 2, 1>, Axes<data, expert>>,
                   Hashing<MeshOf<2, 3, 2>, Axes<data, expert>>, Hashing<MeshOf<2, 3, 1>, Axes<expert, data>>,
                   Hashing<MeshOf<2, 2, 2>, None>) {
  const auto requests = mixed_requests();
  for (const index_t slots : {1, 2, 5, 16}) {
    CAPTURE(slots);
    Host dev(1);
    const LM model;
    Runner runner(dev, model, slots, 1200);
    CHECK(runner.slots() >= slots);
    std::vector<std::vector<i32>> streamed(requests.size());
    const auto results = runner.generate(requests, [&](std::size_t i, const SampleOutput& out, bool is_text) {
      CHECK(is_text);
      streamed[i].push_back(out.token_id);
    });
    index_t prompt_tokens = 0, generated = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CAPTURE(i);
      CHECK(results[i].tokens == expected(requests[i].prompt, requests[i].max_tokens));
      CHECK(results[i].tokens == streamed[i]);
      CHECK(results[i].finish == Finish::length);
      prompt_tokens += static_cast<index_t>(requests[i].prompt.size());
      generated += requests[i].max_tokens - 1;  // the first comes with the prompt
    }
    CHECK(runner.timing().prompt_tokens == prompt_tokens);
    CHECK(runner.timing().generated_tokens == generated);
    CHECK(model.widest == Runner<LM>::prefill_tokens);
  }
}

TEST_CASE("runner: a continuation ends at any of its end tokens, at its length, or where the memory is full") {
  using LM = Hashing<MeshOf<1, 1, 1>, data>;
  Host dev(1);
  const LM model;
  Runner runner(dev, model, 2, 12);
  const std::vector<i32> prompt{3, 1, 4};
  const auto tokens = expected(prompt, 9);
  const auto run = [&](std::vector<i32> eos, index_t most) {
    const Request request{.prompt = prompt, .max_tokens = most, .settings = {.temperature = 0}, .eos = std::move(eos)};
    return runner.generate({&request, 1})[0];
  };
  const auto first = [&](std::size_t n) {
    return std::vector<i32>(tokens.begin(), tokens.begin() + static_cast<int>(n));
  };
  REQUIRE(tokens[2] != tokens[0]);
  REQUIRE(tokens[2] != tokens[1]);
  CHECK(run({}, 5).tokens == first(5));
  CHECK(run({tokens[2]}, 5).tokens == first(2));
  CHECK(run({tokens[2]}, 5).finish == Finish::eos);
  CHECK(run({tokens[4], tokens[2]}, 9).tokens == first(2));
  CHECK(run({tokens[0]}, 5).tokens.empty());
  CHECK(run({}, 100).finish == Finish::context);
  CHECK(run({}, 100).tokens == expected(prompt, 10));  // the last one needs no place in the memory
  const Request request{.prompt = prompt, .max_tokens = 5, .settings = {.temperature = 0}, .eos = {tokens[2]}};
  std::vector<bool> text;
  runner.generate({&request, 1}, [&](std::size_t, const SampleOutput&, bool is_text) { text.push_back(is_text); });
  CHECK(text == std::vector<bool>{true, true, false});
}

TEST_CASE("runner: what cannot be continued is refused before anything is computed") {
  using LM = Hashing<MeshOf<1, 1, 1>, data>;
  Host dev(1);
  const LM model;
  Runner runner(dev, model, 1, 4);
  const auto refuse = [&](const Request& bad) {
    const std::vector<Request> requests{{.prompt = {1}, .max_tokens = 1}, bad};
    return error_of([&] { runner.generate(requests); });
  };
  CHECK(refuse({}) == "prompt 2 holds no token; give at least one word");
  CHECK(refuse({.prompt = {1, 2, 3, 4}}) ==
        "prompt 2 has 4 tokens, but the context holds 4 with the continuation; shorten it");
  CHECK(refuse({.prompt = {1}, .max_tokens = 0}) == "prompt 2: max_tokens is 0; ask for at least 1");
  CHECK(model.calls == 0);
}

TEST_CASE("engine: device, model and runner behind one interface") {
  using LM = Hashing<MeshOf<1, 2, 1>, Axes<data, expert>>;
  bool loaded = false;
  const std::unique_ptr<Engine> engine =
      std::make_unique<EngineOf<LM>>(LM{}, 1, 3, 64, [&](Host& dev, LM&) { loaded = dev.pool().size() == 1; });
  CHECK(loaded);
  CHECK(engine->threads() == 1);
  const std::vector<Request> requests(3, {.prompt = {8, 9}, .max_tokens = 6, .settings = {.temperature = 0}});
  CHECK_NOTHROW(engine->check(requests));
  for (const Generated& g : engine->generate(requests, {})) CHECK(g.tokens == expected({8, 9}, 6));
  CHECK(engine->timing().generated_tokens == 15);
  CHECK(engine->received_bytes() == 0);
}
