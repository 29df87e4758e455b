// Requests and what comes of them: the vocabulary between a program and the runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "sampler.hpp"

namespace tess::generate {

/// One prompt and how to continue it.
struct Request {
  std::vector<i32> prompt;
  index_t max_tokens = 100;
  SampleSettings settings{};
  std::uint64_t seed = 42;
  std::vector<i32> eos{};  // tokens that end a continuation: none, one or several, as the model was trained
};

enum class Finish { eos, length, context };  // a token of `eos` came; max_tokens are there; the memory is full

struct Generated {
  std::vector<i32> tokens;  // without the one of `eos`
  Finish finish = Finish::length;
};

/// Called for every token, in the order in which they come: request, what was sampled, and false for the token of
/// `eos` that ends it.
using OnToken = std::function<void(std::size_t request, const SampleOutput&, bool is_text)>;

/// What a runner has done so far. The first token of a continuation comes with the prompt.
struct Timing {
  index_t prompt_tokens = 0, generated_tokens = 0;
  double prompt_seconds = 0, generation_seconds = 0;
};

}  // namespace tess::generate
