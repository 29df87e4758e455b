// Prefill: Grok-1's medium model reads a prompt of 128 and of 512 tokens, with int8 and with bf16 weights.
// SPDX-License-Identifier: Apache-2.0
//
//   bench_prefill [runs = 7] [threads = all cores]
//
// The median of the runs, and the floating-point operations of the model's bill (Dry) over that time. "1 term": the
// opt-in policy that rounds the activations of a product to one int8 or bf16, as the peers do, not to a sum of two.
#include <cstdio>
#include <cstdlib>

#include "medium.hpp"

namespace {
using namespace grok1;
using namespace grok1::bench;

template <class C>
void report(const char* weights, Medium<C>& model, Host& dev, int runs) {
  for (const index_t tokens : {128, 512}) {
    std::vector<double> times;
    for (int i = 0; i < runs + 1; ++i) times.push_back(model.run(dev, 0, tokens));
    times.erase(times.begin());  // the first fills the buffers
    std::printf("  %-12s %4td tokens  %7.1f tokens/s  %7.1f GFLOP/s  (best %.1f tokens/s)\n", weights, tokens,
                static_cast<double>(tokens) / median(times),
                static_cast<double>(Medium<C>::flops(tokens)) * 1e-9 / median(times),
                static_cast<double>(tokens) / quantile(times, 0));
    std::fflush(stdout);
  }
}

template <class C>
void measure(const char* weights, Host& dev, int runs) {
  Medium<C> model(dev);
  for (const auto activations : {host::Activations::two_terms, host::Activations::one_term}) {
    dev.activations = activations;
    report(activations == host::Activations::one_term ? (weights + std::string(", 1 term")).c_str() : weights, model,
           dev, runs);
  }
  dev.activations = {};
}
}  // namespace

int main(int argc, char** argv) {
  const int runs = std::max(1, argc > 1 ? std::atoi(argv[1]) : 7);
  Host dev(argc > 2 ? std::atoi(argv[2]) : 0);
  std::printf("Grok-1 medium, one prompt, mesh 1x1, %s, %d threads, %d runs\n", host::name(host::cpu()).c_str(),
              dev.pool().size(), runs);
  measure<MediumConfig>("int8", dev, runs);
  measure<MediumBf16Config>("bf16", dev, runs);
}
