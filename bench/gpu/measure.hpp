// Timing on a GPU: the ceilings of this machine, and steps that are replayed as CUDA graphs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <tess/cuda.hpp>

namespace bench {

using namespace tess;

/// Seconds between two points of a stream. Owns its events.
class Stopwatch {
 public:
  explicit Stopwatch(cuda::Gpu& gpu) : gpu_(gpu) {
    for (cudaEvent_t& e : events_) cuda::check(cudaEventCreate(&e), "cudaEventCreate");
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    for (cudaEvent_t e : events_) (void)cudaEventDestroy(e);
  }
  void start() { cuda::check(cudaEventRecord(events_[0], gpu_.stream()), "cudaEventRecord"); }
  double stop() {
    cuda::check(cudaEventRecord(events_[1], gpu_.stream()), "cudaEventRecord");
    cuda::check(cudaEventSynchronize(events_[1]), "cudaEventSynchronize");
    float milliseconds = 0;
    cuda::check(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  cuda::Gpu& gpu_;
  cudaEvent_t events_[2] = {};
};

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// Seconds of f(), which queues work: median of `runs`.
template <class F>
double seconds(cuda::Gpu& gpu, int runs, F f) {
  Stopwatch watch(gpu);
  std::vector<double> times;
  f();
  for (int i = 0; i < runs; ++i) {
    watch.start();
    f();
    times.push_back(watch.stop());
  }
  return median(times);
}

/// No rows: for steps that read none.
struct NoRows {
  index_t size() const { return 0; }
  cuda::Row operator[](index_t) const { return {}; }
};

/// Seconds of one op(set), as part of a graph that does it once for each of `sets` sets of operands, so that none finds its
/// data in the L2 cache: median of `runs` replays.
template <class Rows, class Op>
double seconds_a_replay(Cuda& dev, const Rows& rows, index_t sets, int runs, Op op) {
  static index_t measurement = 0;
  const index_t key[] = {-1, ++measurement};
  const auto step = [&] {
    return dev.replay(key, rows, [&] {
      auto last = op(0);
      for (index_t s = 1; s < sets; ++s) last = op(s);
      return last;
    });
  };
  for (int warm = 0; warm < 3; ++warm) (void)step();
  const double all = seconds(dev.gpu(0), runs, step);
  dev.wait();
  return all / static_cast<double>(sets);
}

/// What this machine can do, measured: the "100 %" of all shares.
struct Ceilings {
  double bytes_per_second = 0;  // of a copy, read and written bytes together
  double flops = 0;             // of cuBLAS, bf16, 8192 x 8192 x 8192, random data
};
Ceilings measure_ceilings(cuda::Gpu& gpu);

/// "NVIDIA H200, 132 multiprocessors, driver 13.0, runtime 13.0"
std::string describe_machine(const cuda::Gpu& gpu);

/// One line of the report.
struct Row {
  std::string name;
  double seconds = 0;
  double share = 0;              // of the ceiling; 0: the goal is a time
  double must = 0, stretch = 0;  // shares, or seconds
  bool is_time() const { return share == 0; }
  bool holds(double goal) const { return is_time() ? seconds <= goal : share >= goal; }
};

}  // namespace bench
