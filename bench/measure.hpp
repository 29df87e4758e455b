// What the benchmarks share: seconds, medians, memory, and the stream read that decoding is compared with.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/device/host/buffer.hpp>
#include <tess/device/host/cpu.hpp>
#include <tess/device/host/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace tess::bench {

template <class Work>
double seconds(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The value below which `share` of all lie.
inline double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}
inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

/// A field of /proc/self/status in bytes: VmHWM (peak resident memory), RssAnon (what is no file), …; 0 where there is none.
inline double memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) * 1024;
  return 0;
}

/// One core reads bytes in order: sums of 64-bit words, 512 bytes a turn.
inline std::int64_t read_words(const std::byte* data, index_t bytes) {
  using Words = std::int64_t __attribute__((vector_size(64)));
  Words sum[8] = {};
  for (index_t i = 0; i + 512 <= bytes; i += 512)
    for (int j = 0; j < 8; ++j) {
      Words words;
      std::memcpy(&words, data + i + 64 * j, 64);
      sum[j] += words;
    }
  std::int64_t total = 0;
  for (const Words& words : sum)
    for (int j = 0; j < 8; ++j) total += words[j];
  return total;
}
#if TESS_X86
TESS_TARGET_AVX2 __attribute__((flatten)) inline std::int64_t read_words_avx2(const std::byte* data, index_t bytes) {
  return read_words(data, bytes);
}
TESS_TARGET_AVX512 __attribute__((flatten)) inline std::int64_t read_words_avx512(const std::byte* data,
                                                                                  index_t bytes) {
  return read_words(data, bytes);
}
#endif

/// Reads `bytes` once, as fast as the threads of the pool can, each its own part in chunks of 1 MiB.
inline void stream(host::ThreadPool& pool, const std::byte* data, index_t bytes) {
  static std::atomic<std::int64_t> sink{0};  // so that nothing is left out
  pool.for_range(bytes, index_t{1} << 20, [&](index_t begin, index_t end) {
#if TESS_X86
    const auto read = host::cpu().isa == host::Isa::avx512 ? read_words_avx512
                      : host::cpu().isa == host::Isa::avx2 ? read_words_avx2
                                                           : read_words;
#else
    const auto read = read_words;
#endif
    sink.fetch_add(read(data + begin, end - begin), std::memory_order_relaxed);
  });
}

}  // namespace tess::bench
