// Requests and what comes of them: the vocabulary between the program and the runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "sampler.hpp"

namespace grok1 {

using tess::i32;
using tess::index_t;

/// One prompt and how to continue it.
struct Request {
  std::vector<i32> prompt;
  index_t max_tokens = 100;
  SampleSettings settings{};
  std::uint64_t seed = 42;
  bool stop_at_eos = true;
};

enum class Finish { eos, length, context };  // [EOS] came; max_tokens are there; the memory is full

struct Generated {
  std::vector<i32> tokens;  // without [EOS]
  Finish finish = Finish::length;
};

/// Called for every token, in the order in which they come: request, what was sampled, and false for the [EOS] that
/// ends it.
using OnToken = std::function<void(std::size_t request, const SampleOutput&, bool is_text)>;

struct Timing {
  index_t prompt_tokens = 0, generated_tokens = 0;
  double prompt_seconds = 0, generation_seconds = 0;
};

}  // namespace grok1
