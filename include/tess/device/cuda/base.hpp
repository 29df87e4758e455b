// Base: what the verbs of the Cuda device share: GPUs, places of ranks, memory, traffic, and the step's inputs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <vector>

#include "../host/thread_pool.hpp"
#include "../traffic.hpp"
#include "gpu.hpp"
#include "options.hpp"
#include "places.hpp"
#include "staging.hpp"
#include "step_inputs.hpp"
#include "storage.hpp"

namespace tess::cuda {

/// How many terms of bf16 stand for an f32 activation in products with bf16 and int8 weights: one, as the reference rounds
/// them, or two (16 bits of mantissa), which costs nothing while products wait for their weights, and is the default.
enum class Terms { one = 1, two = 2 };

class Base {
 public:
  template <class T>
  using storage = cuda::Storage<T>;

  explicit Base(const Options& options)
      : options_(options),
        places_{options.process, options.processes, static_cast<index_t>(options.gpus.size())},
        staging_(options.staging_bytes) {
    if (options.gpus.empty()) fail("[cuda] no GPU is named: give at least one number");
    for (const int g : options.gpus) {
      if (std::count(options.gpus.begin(), options.gpus.end(), g) > 1) fail("[cuda] GPU ", g, " is named twice");
      gpus_.push_back(std::make_unique<Gpu>(g));
    }
  }

  Terms terms = Terms::two;

  const Options& options() const { return options_; }
  const Places& places() const { return places_; }
  bool is_alone() const { return options_.alone; }
  index_t gpu_count() const { return static_cast<index_t>(gpus_.size()); }
  Gpu& gpu(index_t i) { return *gpus_[static_cast<std::size_t>(i)]; }
  Gpu& gpu_of(index_t rank, index_t ranks) { return gpu(places_.gpu_of(rank, ranks)); }
  /// Threads of the host, and memory of it that GPUs read, for parameters on their way.
  host::ThreadPool& pool() const {
    if (!pool_) pool_ = std::make_unique<host::ThreadPool>(options_.threads);
    return *pool_;
  }
  Staging& staging() { return staging_; }
  /// The rows of the batch that is under way.
  StepInputs& inputs() { return inputs_; }

  /// f(rank, gpu) for the ranks of X's mesh that live here.
  template <AnyTensor X, class F>
  void each_rank(F f) {
    constexpr index_t ranks = X::mesh::size;
    for (index_t r = 0; r < ranks; ++r)
      if (places_.is_here(r)) f(r, gpu_of(r, ranks));
  }

  /// Waits for all GPUs; throws what kernels reported.
  void wait() {
    for (auto& g : gpus_) g->wait();
  }

  const Traffic& traffic() const { return traffic_; }
  Traffic& traffic_now() { return traffic_; }
  void reset_traffic() { traffic_ = {}; }
  /// Adds one collective: what each rank of the mesh received, here or elsewhere.
  void count_collective(const Received& received) { traffic_.count(received); }
  /// The same of a step that is no collective where nothing moves.
  void count_step(const Received& received) {
    if (std::any_of(received.begin(), received.end(), [](index_t bytes) { return bytes > 0; }))
      traffic_.count(received);
  }

  template <class T, AnyMesh M, AnyShape L>
  storage<T> allocate(const Extents<L>& local) {
    if constexpr (is_packed<T>) return {};  // gather_weights brings its own
    else return storage<T>(shards(M::size, [&](Gpu& g) { return g.memory().take(bytes_of<T>(local)); }));
  }
  template <class T, AnyMesh M, AnyShape L>
  storage<T> allocate_state(const Extents<L>& local) {
    return storage<T>(shards(M::size, [&](Gpu& g) { return g.memory().keep(bytes_of<T>(local), g.stream()); }));
  }

  template <class F>
  void repeat(index_t n, F f) {
    for (index_t i = 0; i < n; ++i) f(i);
  }

  /// A verb that asks the GPU for a number, or is given numbers that only the host has, cannot be part of a recorded step:
  /// the step is then run as it comes, each time.
  void needs_host() {
    if (is_recording())
      fail("[cuda] a recorded step asks the host for numbers that it did not ask for when it first ran");
    needs_host_ = true;
  }
  bool has_needed_host() const { return needs_host_; }
  void forget_host_needs() { needs_host_ = false; }
  bool is_recording() const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    (void)cudaStreamIsCapturing(gpus_[0]->stream(), &status);
    return status != cudaStreamCaptureStatusNone;
  }

 private:
  Options options_;
  bool needs_host_ = false;
  Places places_;
  std::vector<std::unique_ptr<Gpu>> gpus_;
  mutable std::unique_ptr<host::ThreadPool> pool_;
  Staging staging_;
  StepInputs inputs_;
  Traffic traffic_;

  template <class F>
  Shards shards(index_t ranks, F block) {
    places_.check(ranks);
    Shards all(static_cast<std::size_t>(ranks));
    for (index_t r = 0; r < ranks; ++r)
      if (places_.is_here(r)) {
        Gpu& g = gpu_of(r, ranks);
        g.use();
        all[static_cast<std::size_t>(r)] = block(g);
      }
    return all;
  }
};

}  // namespace tess::cuda
