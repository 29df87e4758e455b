// Decoding: Grok-1's medium model, batch 1, tokens a second and the share of a stream read of the same bytes.
// SPDX-License-Identifier: Apache-2.0
//
//   bench_decode [pairs = 60] [position of the first token = 128]
//
// First with all cores, then with one thread. A pair is a stream read and a token, one after the other: the bandwidth of
// a shared machine changes within seconds, and so absolute figures mean little, the median of the pairs' ratios much.
#include <cstdio>
#include <cstdlib>

#include "medium.hpp"

namespace {
using namespace grok1;
using namespace grok1::bench;

template <class C>
void measure(const char* weights, int pairs, index_t position) {
  Host all_cores, one_thread(1);
  Medium<C> model(all_cores);
  const index_t bytes = model.bytes_per_token();
  host::Buffer buffer(bytes);
  std::memset(buffer.data(), 1, static_cast<std::size_t>(bytes));
  std::printf("%s weights, %.0f MB a token\n", weights, static_cast<double>(bytes) * 1e-6);
  for (Host* dev : {&all_cores, &one_thread}) {
    model.run(*dev, 0, position);
    std::vector<double> reads, tokens, shares;
    for (int i = 0; i < pairs; ++i) {
      reads.push_back(seconds([&] { stream(dev->pool(), buffer.data(), bytes); }));
      tokens.push_back(model.run(*dev, position + i, 1));
      shares.push_back(reads.back() / tokens.back());
    }
    std::printf(
        "  %d thread%s  %5.1f tokens/s  %5.1f GB/s, stream read %5.1f GB/s  share %3.0f %% (quartiles %.0f, %.0f)\n",
        dev->pool().size(), dev->pool().size() == 1 ? " " : "s", 1 / median(tokens),
        static_cast<double>(bytes) * 1e-9 / median(tokens), static_cast<double>(bytes) * 1e-9 / median(reads),
        100 * median(shares), 100 * quantile(shares, 0.25), 100 * quantile(shares, 0.75));
    std::fflush(stdout);
  }
}
}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 60;
  const index_t position = argc > 2 ? std::atoll(argv[2]) : 128;
  if (pairs < 1 || position < 1 || position + pairs > medium.sequence_len) {
    std::fprintf(stderr, "bench_decode: expected at least one pair and positions from 1 to %td\n", medium.sequence_len);
    return 2;
  }
  std::printf("Grok-1 medium, batch 1, mesh 1x1, %s, %d pairs from position %td on\n", host::name(host::cpu()).c_str(),
              pairs, position);
  measure<MediumConfig>("int8", pairs, position);
  measure<MediumBf16Config>("bf16", pairs, position);
}
