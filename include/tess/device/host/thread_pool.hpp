// ThreadPool: parallel loops with contiguous ranges per thread and chunks that idle threads steal.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../../core/types.hpp"
#include "cpu.hpp"

namespace tess::host {

/// A fixed set of threads. The calling thread works too, and waits only for workers that have begun: one that a busy
/// neighbour keeps from running loses its share to the others, chunk by chunk. Idle workers spin for some ten
/// microseconds, then sleep.
///
/// Safe to call from several threads (a second caller works alone) and from inside a loop body (it runs serially).
class ThreadPool {
 public:
  /// `threads` in all, the caller included; 0: one for each hardware thread.
  explicit ThreadPool(int threads = 0)
      : size_(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
        ranges_(std::make_unique<Range[]>(static_cast<std::size_t>(size_))) {
    workers_.reserve(static_cast<std::size_t>(size_ - 1));
    for (int i = 1; i < size_; ++i) workers_.emplace_back([this, i] { work_until_stopped(i); });
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  ~ThreadPool() {
    stop_.store(true, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int size() const { return size_; }

  /// Calls f(begin, end) on disjoint ranges that cover [0, n), each of `grain` indices (the last may be shorter) that
  /// begin at a multiple of it. An exception of f ends the loop early and is thrown to the caller.
  template <class F>
  void for_range(index_t n, index_t grain, F&& f) {
    if (n <= 0) return;
    grain = std::max<index_t>({grain, 1, n / std::numeric_limits<std::int32_t>::max()});
    const index_t chunks = (n + grain - 1) / grain;
    if (chunks > 1 && size_ > 1 && !inside()) {
      const std::unique_lock lock(in_use_, std::try_to_lock);
      if (lock.owns_lock()) {
        using Body = std::remove_reference_t<F>;
        launch({[](const void* body, index_t begin, index_t end) {
                  (*static_cast<Body*>(const_cast<void*>(body)))(begin, end);
                },
                static_cast<const void*>(std::addressof(f)), n, grain},
               chunks);
        return;
      }
    }
    for (index_t begin = 0; begin < n; begin += grain) f(begin, std::min(n, begin + grain));
  }

  /// Calls f(thread, threads) once for each thread = 0 … threads - 1 = size() - 1. The calls may run at the same time
  /// but need not: f must not wait for another of them.
  template <class F>
  void run(F&& f) {
    for_range(size_, 1, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) f(static_cast<int>(i), size_);
    });
  }

 private:
  struct Job {
    void (*call)(const void* body, index_t begin, index_t end);
    const void* body;
    index_t n, grain;
  };
  struct alignas(64) Range {
    std::atomic<std::uint64_t> chunks{0};  // first in the upper, last + 1 in the lower half
  };
  static constexpr std::uint32_t open = 1u << 31;  // of gate_; below it the number of workers inside
  static constexpr int spins = 2000;

  static bool& inside() {
    thread_local bool flag = false;
    return flag;
  }
  static void pause() {
#if TESS_X86
    _mm_pause();
#endif
  }

  void launch(const Job& job, index_t chunks) {
    job_ = job;
    error_ = nullptr;
    failed_.store(false, std::memory_order_relaxed);
    for (int i = 0; i < size_; ++i) {
      const auto first = static_cast<std::uint64_t>(chunks * i / size_);
      const auto last = static_cast<std::uint64_t>(chunks * (i + 1) / size_);
      ranges_[static_cast<std::size_t>(i)].chunks.store(first << 32 | last, std::memory_order_relaxed);
    }
    gate_.store(open, std::memory_order_release);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    work(0);
    std::uint32_t gate = gate_.fetch_and(~open, std::memory_order_acq_rel) & ~open;
    for (int i = 0; gate != 0; gate = gate_.load(std::memory_order_acquire)) {
      if (i++ < spins) pause();
      else gate_.wait(gate, std::memory_order_acquire);
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  void work_until_stopped(int id) {
    for (std::uint32_t seen = 0;;) {
      std::uint32_t epoch = epoch_.load(std::memory_order_acquire);
      for (int i = 0; epoch == seen; epoch = epoch_.load(std::memory_order_acquire)) {
        if (i++ < spins) pause();
        else epoch_.wait(seen, std::memory_order_acquire);
      }
      seen = epoch;
      if (stop_.load(std::memory_order_relaxed)) return;
      std::uint32_t gate = gate_.load(std::memory_order_relaxed);
      while ((gate & open) != 0)
        if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
          work(id);
          if (gate_.fetch_sub(1, std::memory_order_release) == 1) gate_.notify_one();
          break;
        }
    }
  }

  /// Own chunks from the front, then those of the others from the back.
  void work(int id) {
    inside() = true;
    for (int i = 0; i < size_; ++i) {
      Range& range = ranges_[static_cast<std::size_t>((id + i) % size_)];
      for (index_t chunk = take(range, i == 0); chunk >= 0; chunk = take(range, i == 0)) {
        if (failed_.load(std::memory_order_relaxed)) continue;  // drain
        try {
          const index_t begin = chunk * job_.grain;
          job_.call(job_.body, begin, std::min(job_.n, begin + job_.grain));
        } catch (...) {
          if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
        }
      }
    }
    inside() = false;
  }

  static index_t take(Range& range, bool front) {
    std::uint64_t chunks = range.chunks.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t first = chunks >> 32, last = chunks & 0xffffffffu;
      if (first >= last) return -1;
      const std::uint64_t rest = front ? (first + 1) << 32 | last : first << 32 | (last - 1);
      if (range.chunks.compare_exchange_weak(chunks, rest, std::memory_order_relaxed))
        return static_cast<index_t>(front ? first : last - 1);
    }
  }

  int size_;
  std::unique_ptr<Range[]> ranges_;
  Job job_{};
  std::exception_ptr error_;  // read by the caller after the gate is empty
  std::atomic<bool> failed_{false};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // counts jobs; workers sleep on it
  alignas(64) std::atomic<std::uint32_t> gate_{0};   // whoever is inside may use job_
  std::mutex in_use_;
  std::vector<std::thread> workers_;
};

}  // namespace tess::host
