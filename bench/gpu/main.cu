// bench_gpu: what one GPU does, beside its own ceilings; a report in Markdown.
//
//   bench_gpu [--gpu N] [--operations | --replay]
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>

#include "operations.hpp"

namespace {

using bench::Row;

const char* verdict(bool must, bool stretch) { return stretch ? "stretch" : must ? "holds" : "falls short"; }

void print(const std::vector<Row>& rows) {
  std::printf("| operation, one of eight ranks | time | share | must | stretch | |\n|---|--:|--:|--:|--:|---|\n");
  for (const Row& r : rows)
    if (r.is_time())
      std::printf("| %s | %.1f us | | %.1f us | %.1f us | %s |\n", r.name.c_str(), r.seconds * 1e6, r.must * 1e6,
                  r.stretch * 1e6, verdict(r.holds(r.must), r.holds(r.stretch)));
    else
      std::printf("| %s | %.1f us | %.0f %% | %.0f %% | %.0f %% | %s |\n", r.name.c_str(), r.seconds * 1e6,
                  r.share * 100, r.must * 100, r.stretch * 100, verdict(r.holds(r.must), r.holds(r.stretch)));
}

void print(const std::vector<bench::Pass>& passes) {
  std::printf(
      "\n64 layers of Grok-1 in int8, one rank of eight. Measured: this rank's kernels. Modelled, never measured "
      "here: 128 all-reduces, by NCCL's own figures for eight H100.\n\n"
      "| pass | measured | all-reduces, modelled | together | tokens/s of eight GPUs, predicted | must | stretch "
      "| |\n"
      "|---|--:|--:|--:|--:|--:|--:|---|\n");
  for (const bench::Pass& p : passes) {
    const double all = p.seconds + p.communication;
    std::printf("| %s | %.2f ms | %.2f ms | %.2f ms | %.0f |", p.name.c_str(), p.seconds * 1e3, p.communication * 1e3,
                all * 1e3, static_cast<double>(p.tokens) / all);
    if (p.must > 0)
      std::printf(" %.1f ms | %.1f ms | %s |\n", p.must * 1e3, p.stretch * 1e3,
                  verdict(p.seconds <= p.must, p.seconds <= p.stretch));
    else std::printf(" | | |\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  int gpu = 0;
  bool operations = true, replay = true;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--gpu") == 0 && i + 1 < argc) gpu = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--operations") == 0) replay = false;
    else if (std::strcmp(argv[i], "--replay") == 0) operations = false;
    else {
      std::fprintf(stderr, "usage: bench_gpu [--gpu N] [--operations | --replay]\n");
      return 2;
    }
  }
  try {
    tess::Cuda dev(tess::cuda::Options{.gpus = {gpu}});
    std::printf("%s\n\n", bench::describe_machine(dev.gpu(0)).c_str());
    if (operations) {
      const bench::Ceilings ceilings = bench::measure_ceilings(dev.gpu(0));
      std::printf(
          "Ceilings, measured in this run: copy %.2f TB/s (read and written), cuBLAS bf16 8192 x 8192 x 8192 %.0f "
          "TFLOP/s.\n\n",
          ceilings.bytes_per_second * 1e-12, ceilings.flops * 1e-12);
      print(bench::measure_operations(dev, ceilings));
    }
    if (replay) print(bench::replay_rank(gpu));
    return 0;
  } catch (const tess::cuda::NoDevice& e) {
    std::fprintf(stderr, "bench_gpu: %s\n", e.what());
    return 3;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_gpu: %s\n", e.what());
    return 1;
  }
}
