// Replay: a step of a model is recorded as one CUDA graph and from then on launched as one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base.hpp"

namespace tess::cuda {

/// Owns an executable graph. Move-only.
class Graph {
 public:
  Graph() = default;
  /// Takes what was recorded.
  explicit Graph(cudaGraph_t recorded) {
    const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
    (void)cudaGraphDestroy(recorded);
    check(status, "cudaGraphInstantiate");
  }
  Graph(Graph&& other) noexcept : graph_(std::exchange(other.graph_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(graph_, other.graph_);
    return *this;
  }
  ~Graph() {
    if (graph_) (void)cudaGraphExecDestroy(graph_);
  }
  explicit operator bool() const { return graph_ != nullptr; }
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(graph_, stream), "cudaGraphLaunch"); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

/// Mixed into a device on top of Base.
template <class Self>
class ReplayVerbs {
 public:
  /// f() — a step of a model, `key` its shapes — on rows of a batch. Its first call runs, its second is recorded while
  /// nothing is computed and then launched, all others launch the recording. So f must depend on nothing but the key, the
  /// rows, and tensors that keep their places from call to call, such as parameters, caches and tokens; its result is
  /// overwritten by the next call with the same key and an f of the same type (the same lambda). A step with a verb that
  /// needs the host (Base::needs_host) runs every time. An exception leaves nothing recorded.
  template <class Rows, class F>
  std::invoke_result_t<F&> replay(std::span<const index_t> key, const Rows& rows, F f) {
    using Result = std::invoke_result_t<F&>;
    static_assert(!std::is_void_v<Result> && !std::is_reference_v<Result>, "[replay] a step returns what it computed");
    Step& step = steps_[{&tag<F>, {key.begin(), key.end()}}];
    if (step.arenas.empty())
      for (index_t g = 0; g < self().gpu_count(); ++g) step.arenas.push_back(std::make_shared<Arena>());
    const Inside inside(self(), step);
    self().inputs().fix(rows);
    for (index_t g = 0; g < self().gpu_count(); ++g) (void)self().inputs().rows(self().gpu(g), rows);
    if (step.graph) {
      launch(step);
      return *static_cast<const Result*>(step.result.get());
    }
    if (step.calls == 0 || step.needs_host) {
      self().forget_host_needs();
      Result result = f();
      step.needs_host = step.needs_host || self().has_needed_host();
      ++step.calls;
      return result;
    }
    auto result = std::make_shared<Result>(record(step, f));
    step.result = result;
    launch(step);
    return *result;
  }

  /// Recordings that exist; for tests.
  index_t recorded_steps() const {
    index_t n = 0;
    for (const auto& [key, step] : steps_) n += step.graph ? 1 : 0;
    return n;
  }

 private:
  struct Step {
    std::vector<std::shared_ptr<Arena>> arenas;  // of each GPU
    StepInputs inputs;
    std::shared_ptr<void> result;
    Traffic traffic;  // of one launch
    Graph graph;
    index_t calls = 0;
    bool needs_host = false;
  };
  template <class F>
  static constexpr char tag = 0;  // its address tells functions apart, and so their results

  std::map<std::pair<const void*, std::vector<index_t>>, Step> steps_;

  Self& self() { return static_cast<Self&>(*this); }

  /// While it lives the device takes memory from a step's arenas, and its inputs.
  class Inside {
   public:
    Inside(Self& device, Step& step) : device_(device), step_(step) { swap(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { swap(); }

   private:
    Self& device_;
    Step& step_;
    void swap() {
      for (index_t g = 0; g < device_.gpu_count(); ++g) {
        auto& arena = step_.arenas[static_cast<std::size_t>(g)];
        arena = device_.gpu(g).memory().use(arena);
      }
      std::swap(step_.inputs, device_.inputs());
    }
  };

  /// The streams of all GPUs are recorded into one graph, which begins and ends on the first one's.
  template <class F>
  auto record(Step& step, F& f) {
    const cudaStream_t first = self().gpu(0).stream();
    const Traffic before = std::exchange(self().traffic_now(), Traffic{});
    self().gpu(0).use();
    check(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    const auto end = [&] {
      cudaGraph_t graph = nullptr;
      self().gpu(0).use();
      const cudaError_t status = cudaStreamEndCapture(first, &graph);
      step.traffic = std::exchange(self().traffic_now(), before);
      return std::pair(status, graph);
    };
    try {
      fork();
      auto result = f();
      join();
      const auto [status, graph] = end();
      check(status, "cudaStreamEndCapture");
      step.graph = Graph(graph);
      return result;
    } catch (...) {
      if (self().is_recording()) {
        const auto [status, graph] = end();
        if (graph) (void)cudaGraphDestroy(graph);
        (void)cudaGetLastError();
      }
      throw;
    }
  }

  void launch(const Step& step) {
    join();
    self().gpu(0).use();
    step.graph.launch(self().gpu(0).stream());
    fork();
    self().traffic_now().add(step.traffic);
  }

  /// The other GPUs' streams go on after the first one's.
  void fork() { order(true); }
  /// The first one's goes on after the others'.
  void join() { order(false); }
  void order(bool first_leads) {
    for (index_t g = 1; g < self().gpu_count(); ++g) {
      Gpu &before = self().gpu(first_leads ? 0 : g), &after = self().gpu(first_leads ? g : 0);
      before.use();
      const Event reached;
      check(cudaEventRecord(reached, before.stream()), "cudaEventRecord");
      after.use();
      check(cudaStreamWaitEvent(after.stream(), reached, 0), "cudaStreamWaitEvent");
    }
  }
};

}  // namespace tess::cuda
