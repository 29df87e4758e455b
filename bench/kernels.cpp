// The Host kernels alone: decode as a share of a paired stream read, prefill in GFLOP/s, packing in GB/s.
// SPDX-License-Identifier: Apache-2.0
//
//   bench_kernels [threads] [MiB of weights to rotate through = 512] [name of the one instruction set to measure]
//
// Weights are cold: every product takes the next matrix of a set larger than the caches. A share is the median over
// pairs of (stream read of the set, products with every matrix of the set); only ratios taken side by side mean anything.
#include <tess/device/host/gemm.hpp>
#include <tess/device/host/pack.hpp>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "measure.hpp"

namespace {
using namespace tess;
using namespace tess::host;
using namespace tess::bench;

template <class E>
constexpr const char* type_name() {
  return std::is_same_v<E, f32> ? "f32" : std::is_same_v<E, bf16> ? "bf16" : "int8";
}

/// Enough matrices [K, N] for `bytes`, of the same random values.
template <class E>
std::vector<Packed<E>> weights(ThreadPool& pool, index_t K, index_t N, index_t bytes, bool report) {
  std::vector<E> source(static_cast<std::size_t>(K * N));
  std::mt19937 random(1);
  for (E& w : source) {
    const auto value = static_cast<int>(random() % 255) - 127;
    if constexpr (std::is_same_v<E, std::int8_t>) w = static_cast<std::int8_t>(value);
    else w = static_cast<E>(static_cast<f32>(value) / 64.0f);
  }
  const std::vector<bf16> scales(static_cast<std::size_t>(N), bf16(0.01f));
  std::vector<Packed<E>> all;
  const auto* const data = reinterpret_cast<const std::byte*>(source.data());
  const index_t count =
      (bytes + K * N * static_cast<index_t>(sizeof(E)) - 1) / (K * N * static_cast<index_t>(sizeof(E)));
  const double t = seconds([&] {
    for (index_t i = 0; i < count; ++i)
      if constexpr (std::is_same_v<E, std::int8_t>)
        all.push_back(pack_q8(pool, Source<E>{data, N}, K, N,
                              Source<bf16>{reinterpret_cast<const std::byte*>(scales.data()), N * 2}, K));
      else all.push_back(pack<E>(pool, Source<E>{data, N * static_cast<index_t>(sizeof(E))}, K, N));
  });
  if (report)
    std::printf("pack %-5s %5td x %-5td %6.2f GB/s\n", type_name<E>(), K, N,
                static_cast<double>(count * all[0].bytes()) / t * 1e-9);
  return all;
}

template <class X, class E>
void multiply(ThreadPool& pool, const std::vector<Packed<E>>& all, index_t M, std::size_t count, std::size_t& next,
              const std::vector<X>& x, std::vector<f32>& y, Activations activations) {
  for (std::size_t i = 0; i < count; ++i, next = (next + 1) % all.size()) {
    const auto& w = all[next];
    matmul(pool, Problem<X, Packed<E>, f32>{x.data(), w.rows(), &w, y.data(), w.columns(), M}, activations);
  }
}

template <class X, class E>
void measure(ThreadPool& pool, const std::vector<Packed<E>>& all, Activations activations) {
  const index_t K = all[0].rows(), N = all[0].columns();
  std::vector<X> x(static_cast<std::size_t>(512 * K));
  std::mt19937 random(2);
  std::normal_distribution<f32> normal;
  for (X& value : x) value = static_cast<X>(normal(random));
  std::vector<f32> y(static_cast<std::size_t>(512 * N));
  std::size_t next = 0;
  std::printf("%-17s x %-4s w %-4s %-8s %5td x %-5td", name(cpu()).c_str(), type_name<X>(), type_name<E>(),
              !std::is_same_v<E, std::int8_t> || !cpu().vnni ? ""
              : activations == Activations::one_term         ? "1 term"
                                                             : "2 terms",
              K, N);
  std::vector<double> share, rate;
  for (int i = 0; i < 9; ++i) {
    const double read = seconds([&] {
      for (const auto& w : all) stream(pool, w.panel(0), w.panels() * w.panel_bytes());
    });
    const double product = seconds([&] { multiply(pool, all, 1, all.size(), next, x, y, activations); });
    share.push_back(read / product);
    rate.push_back(static_cast<double>(all.size()) * static_cast<double>(all[0].bytes()) / product * 1e-9);
  }
  std::printf("  M=1 %3.0f %% of stream, %5.1f GB/s ", 100 * median(share), median(rate));
  for (const index_t M : {8, 32, 128, 512}) {
    const double flops = 2.0 * static_cast<double>(M) * static_cast<double>(K) * static_cast<double>(N);
    std::vector<double> gflops;
    for (int i = 0; i < 5; ++i) {
      const std::size_t count = std::max<std::size_t>(1, static_cast<std::size_t>(1.5e10 / flops));
      gflops.push_back(static_cast<double>(count) * flops /
                       seconds([&] { multiply(pool, all, M, count, next, x, y, activations); }) * 1e-9);
    }
    std::printf("  M=%td %5.0f", M, median(gflops));
  }
  std::printf(" GFLOP/s\n");
  std::fflush(stdout);
}

template <class E>
void measure_all(ThreadPool& pool, index_t bytes, const std::string& only) {
  bool first = true;
  const std::vector<std::pair<index_t, index_t>> shapes{{6144, 1024}, {1024, 4096}, {2048, 2048}};
  for (const auto& [K, N] : shapes) {
    const auto all = weights<E>(pool, K, N, bytes, true);
    for (const Cpu& cpu : available_cpus()) {
      if (cpu.isa < Isa::avx512 && !first) continue;
      if ((cpu.vnni && !std::is_same_v<E, std::int8_t>) || (cpu.bf16 && !std::is_same_v<E, bf16>))
        continue;  // nothing new
      if (!only.empty() && name(cpu) != only) continue;
      use_cpu(cpu);
      if constexpr (std::is_same_v<E, f32>) measure<f32>(pool, all, Activations::two_terms);
      else measure<bf16>(pool, all, Activations::two_terms);
      if (std::is_same_v<E, std::int8_t> && cpu.vnni) measure<bf16>(pool, all, Activations::one_term);
    }
    first = false;
    use_cpu(best_cpu());
  }
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  const std::string only = argc > 3 ? argv[3] : "";
  const index_t bytes = (argc > 2 ? std::atoll(argv[2]) : 512) << 20;
  std::printf("%d threads, %s\n", pool.size(), name(best_cpu()).c_str());
  measure_all<std::int8_t>(pool, bytes, only);
  measure_all<bf16>(pool, bytes, only);
  measure_all<f32>(pool, bytes, only);
}
