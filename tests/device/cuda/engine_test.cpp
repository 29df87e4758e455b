// The engine of the Grok-1 program on GPUs continues prompts with the tokens of the one on Host.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include "grok1/config_json.hpp"
#include "grok1/cuda_engine.hpp"
#include "support/processes.hpp"

namespace {
using namespace grok1;

std::vector<std::vector<i32>> continued(Engine& engine, float temperature) {
  std::vector<generate::Request> requests;
  for (const std::vector<i32>& prompt : {std::vector<i32>{17, 3, 42, 8}, {5}, {99, 100, 101}})
    requests.push_back({.prompt = prompt,
                        .max_tokens = static_cast<index_t>(4 + prompt.size()),
                        .settings = {.temperature = temperature, .nucleus_p = 0.9f}});
  std::vector<std::vector<i32>> tokens;
  for (auto& g : engine.generate(requests, {})) tokens.push_back(g.tokens);
  return tokens;
}

EngineOptions tiny_model() {
  const std::filesystem::path folder = TESS_SOURCE_DIR "/examples/grok1/tiny";
  EngineOptions o;
  o.config = read_config(folder / "config.json").config;
  o.checkpoint = folder / "ckpt-0";
  o.threads = 1, o.slots = 2, o.capacity = 16;
  return o;
}
}  // namespace

TEST_CASE("tiny Grok-1: greedy and drawn tokens on a GPU, on two simulated ranks and on Host are the same") {
  EngineOptions o = tiny_model();
  const auto host = grok1::detail::make_engine<ProgramMesh<1, 1>, Host>(o, 1);
  const auto one = cuda_engine<1, 1>(o);
  o.cuda.gpus = {0};
  const auto two = cuda_engine<1, 2>(o);
  for (const float temperature : {0.0f, 0.8f}) {
    CAPTURE(temperature);
    const auto expected = continued(*host, temperature);
    CHECK(continued(*one, temperature) == expected);
    CHECK(continued(*two, temperature) == expected);
  }
  CHECK(one->timing().generated_tokens == host->timing().generated_tokens);
  CHECK(one->received_bytes() == 0);
  CHECK(two->received_bytes() > 0);
}

TEST_CASE("tiny Grok-1 on 2x2, in two processes of two GPUs and in four of one: the tokens are Host's in all of them") {
  if (!support::has_gpus(4)) return;
  const EngineOptions o = tiny_model();
  const auto expected = continued(*grok1::detail::make_engine<ProgramMesh<1, 1>, Host>(o, 1), 0.8f);
  for (const int processes : {2, 4}) {
    CAPTURE(processes);
    const auto n = static_cast<std::size_t>(processes);
    std::vector<std::vector<std::vector<i32>>> tokens(n);
    std::vector<index_t> bytes(n);
    support::in_processes(4, processes, [&](const tess::cuda::Options& one) {
      EngineOptions own = o;
      own.cuda = one, own.cuda.threads = 1;
      const auto engine = cuda_engine<2, 2>(own);
      const auto p = static_cast<std::size_t>(one.process);
      tokens[p] = continued(*engine, 0.8f), bytes[p] = engine->received_bytes();
    });
    for (std::size_t p = 0; p < n; ++p) {
      CHECK(tokens[p] == expected);
      CHECK(bytes[p] == bytes[0]);
    }
    CHECK(bytes[0] > 0);
  }
}
