// Runtime: the emulated machine: its GPUs, their memory and streams, and the loop that runs what is queued.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "kernel.hpp"
#include "stream.hpp"
#include "symbols.hpp"

namespace emulation {

enum class Kind { device, pinned, registered };
struct Allocation {
  std::size_t bytes;
  Kind kind;
  int device;
};

/// A lock that its owner may take again, and leave altogether for a while.
class Lock {
 public:
  void lock() {
    const auto me = std::this_thread::get_id();
    if (owner_.load(std::memory_order_relaxed) != me) {
      mutex_.lock();
      owner_.store(me, std::memory_order_relaxed);
    }
    ++depth_;
  }
  void unlock() {
    if (--depth_ == 0) leave();
  }
  /// Without it, f().
  template <class F>
  void outside(F f) {
    const unsigned depth = std::exchange(depth_, 0u);
    leave();
    f();
    mutex_.lock();
    owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    depth_ = depth;
  }

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> owner_{};
  unsigned depth_ = 0;
  void leave() {
    owner_.store(std::thread::id(), std::memory_order_relaxed);
    mutex_.unlock();
  }
};

class Runtime {
 public:
  static Runtime& get() {
    static Runtime* const runtime = new Runtime;  // outlives all that is in it
    return *runtime;
  }

  Lock mutex;
  int devices = 1, capability = 90, multiprocessors = 4;
  std::size_t memory_bytes = std::size_t{8} << 30;  // of each GPU
  // The GPU may do either, so tests should pass both ways. The environment says which: TESS_EMULATION="lazy reversed".
  bool eager = !asked_for("lazy");        // what is queued is run at once; else when somebody waits for it
  bool reversed = asked_for("reversed");  // the last block runs first, and the last thread of a block
  double patience = 20;                   // seconds without progress after which what waits is taken for dead
  std::map<const std::byte*, Allocation> memory;
  std::map<int, std::size_t> used;
  std::map<const void*, int> shared_limit;  // of kernels, by cudaFuncSetAttribute
  std::set<std::pair<int, int>> peers;
  std::set<Stream*> streams;
  std::map<int, std::unique_ptr<Stream>> legacy;
  std::vector<std::weak_ptr<Capture>> captures;
  std::exception_ptr late;                      // what went wrong where nobody could be told
  std::uint64_t launches = 0, allocations = 0;  // so far, all GPUs

  static int& device() {
    static thread_local int d = 0;
    return d;
  }
  static cudaError_t& last_error() {
    static thread_local cudaError_t e = cudaSuccess;
    return e;
  }
  static cudaStreamCaptureMode& thread_mode() {
    static thread_local cudaStreamCaptureMode m = cudaStreamCaptureModeGlobal;
    return m;
  }

  /// Bytes. Source: CUDA programming guide, compute capabilities.
  std::size_t shared_limit_of_block() const {
    const bool is_small = capability == 86 || capability == 89 || capability >= 120;
    return std::size_t{is_small ? 99u : capability < 90 ? 163u : 227u} << 10;
  }
  unsigned threads_of_multiprocessor() const { return 2048; }
  int blocks_per_multiprocessor(unsigned threads, std::size_t shared) const {
    const std::size_t by_shared = (shared_limit_of_block() + (1 << 10)) / (shared + (1 << 10));
    return static_cast<int>(
        std::min<std::size_t>({32, threads_of_multiprocessor() / ((threads + 31) / 32 * 32), by_shared}));
  }

  /// The allocation that has `at`, or ends there; nullptr where there is none.
  const Allocation* find(const void* at, const std::byte** begin = nullptr) {
    const auto* p = static_cast<const std::byte*>(at);
    auto it = memory.upper_bound(p);
    if (it == memory.begin()) return nullptr;
    --it;
    if (p > it->first + it->second.bytes) return nullptr;
    if (begin) *begin = it->first;
    return &it->second;
  }
  bool can_reach(int from, const Allocation& a) const {
    return a.kind != Kind::device || a.device == from || peers.count({from, a.device});
  }

  // ---- streams
  Stream& stream_of(cudaStream_t s) {
    if (s) return *s;
    auto& l = legacy[device()];
    if (!l) l = std::make_unique<Stream>(), l->device = device(), l->number = free_number();
    return *l;
  }
  /// The lowest that no stream has.
  std::size_t free_number() {
    std::set<std::size_t> taken;
    for (const Stream* s : all_streams()) taken.insert(s->number);
    std::size_t n = 0;
    while (taken.count(n)) ++n;
    return n;
  }
  std::vector<Stream*> all_streams() {
    std::vector<Stream*> all(streams.begin(), streams.end());
    for (auto& [d, s] : legacy) all.push_back(s.get());
    return all;
  }

  /// Adds an operation to a stream, or to the step that is captured there.
  cudaError_t queue(Stream& s, Operation operation) {
    const std::lock_guard lock(mutex);
    if (s.capture) {
      Capture& c = *s.capture;
      if (c.invalid) return cudaErrorStreamCaptureInvalidated;
      c.graph.nodes.push_back({std::move(operation), s.tail});
      s.tail = {c.graph.nodes.size() - 1};
      return cudaSuccess;
    }
    if (s.blocking) {
      const bool is_legacy = streams.count(&s) == 0;
      for (Stream* other : all_streams())
        if (other != &s && other->device == s.device && other->blocking && (is_legacy || streams.count(other) == 0)) {
          if (other->capture) return cudaErrorStreamCaptureImplicit;
          wait_for(*other);
        }
    }
    tsan::release(&s.token);
    s.queue.push_back(std::move(operation));
    s.home = std::this_thread::get_id();
    if (eager) advance_all();
    return cudaSuccess;
  }

  void wait_for(Stream& s) {
    wait([&] { return s.empty(); }, &s);
    tsan::acquire(&s.token);
  }
  /// Runs streams until `done`. Throws Error when nothing happens for a while.
  template <class Done>
  void wait(Done done, Stream* first = nullptr) {
    const std::lock_guard lock(mutex);
    auto since = std::chrono::steady_clock::now();
    for (;;) {
      if (first && !first->busy && !first->running) first->home = std::this_thread::get_id();
      const bool progressed = advance_all();
      if (late) std::rethrow_exception(std::exchange(late, nullptr));
      if (done()) return;
      const auto now = std::chrono::steady_clock::now();
      if (progressed) {
        since = now;
        continue;
      }
      if (std::chrono::duration<double>(now - since).count() > patience) give_up();
      mutex.outside([] { std::this_thread::sleep_for(std::chrono::microseconds(20)); });
    }
  }
  /// Goes on with all streams of this thread. True when anything was done.
  bool advance_all() {
    bool any = false;
    for (bool again = true; again;) {
      again = false;
      for (Stream* s : all_streams())
        if (exists(s) && s->home == std::this_thread::get_id() && advance(*s)) any = again = true;
    }
    return any;
  }
  void forget(Stream& s) {
    const std::lock_guard lock(mutex);
    s.queue.clear();
    s.running = nullptr, s.describe = nullptr;
  }

 private:
  Runtime() = default;
  static bool asked_for(const char* word) {
    const char* words = std::getenv("TESS_EMULATION");
    return words && std::strstr(words, word);
  }

  bool exists(Stream* s) const {
    if (streams.count(s)) return true;
    for (const auto& [d, l] : legacy)
      if (l.get() == s) return true;
    return false;
  }
  /// One step of the first operation. True when it came to its end.
  bool advance(Stream& s) {
    if (s.busy || s.empty() || (s.running && s.runner != std::this_thread::get_id())) return false;
    s.busy = true;
    const std::unique_ptr<Stream, void (*)(Stream*)> free(&s, [](Stream* stream) { stream->busy = false; });
    if (!s.running) {
      Operation operation = std::move(s.queue.front());
      s.queue.pop_front();
      s.running_name = operation.name, s.runner = std::this_thread::get_id();
      s.running = operation.begin({s.number, &s.engine, &s.token, &s.token, &s.early, &s.describe});
    }
    bool done = true;
    std::exception_ptr error;
    mutex.outside([&] {
      try {
        done = s.running();
      } catch (...) {
        error = std::current_exception();
      }
    });
    if (done) {
      Step ended = std::move(s.running);
      s.running = nullptr, s.describe = nullptr;
    }
    if (error) std::rethrow_exception(error);
    return done;
  }
  /// Ends what this thread runs: it waits for what will not come.
  [[noreturn]] void give_up() {
    const Error error("deadlock: " + what_waits());
    for (Stream* s : all_streams())
      if (s->running && s->runner == std::this_thread::get_id()) forget(*s);
    throw error;
  }
  std::string what_waits() {
    std::string text;
    for (Stream* s : all_streams())
      if (s->running) text += (text.empty() ? "" : "; ") + (s->describe ? s->describe() : s->running_name + " waits");
    return text.empty() ? "nothing is under way" : text;
  }
};

/// Of a kernel; found once.
inline const std::string& name_of_kernel(const void* kernel) {
  static std::mutex mutex;
  static std::map<const void*, std::string> names;
  const std::lock_guard lock(mutex);
  std::string& name = names[kernel];
  if (name.empty()) name = name_of_function(kernel);
  return name;
}

/// A graph under way: a node begins when all before it are done.
class GraphRun {
 public:
  GraphRun(std::shared_ptr<const Graph> graph, const Context& context)
      : graph_(std::move(graph)),
        context_(context),
        steps_(graph_->nodes.size()),
        done_(graph_->nodes.size()),
        told_(graph_->nodes.size()) {}
  bool progress() {
    for (bool again = true; again;) {
      again = false;
      for (std::size_t n = 0; n < steps_.size(); ++n) {
        if (done_[n]) continue;
        const GraphNode& node = graph_->nodes[n];
        if (!std::all_of(node.after.begin(), node.after.end(), [&](std::size_t b) { return done_[b]; })) continue;
        if (!steps_[n]) {
          for (const std::size_t b : node.after) order(&told_[b], &told_[n]);
          order(context_.before, &told_[n]);
          steps_[n] = node.operation.begin(
              {context_.stream, context_.engine, &told_[n], &told_[n], &told_[n], context_.describe});
        }
        if (!steps_[n]()) continue;
        steps_[n] = nullptr, done_[n] = again = true;
        order(&told_[n], context_.after);
      }
    }
    return std::all_of(done_.begin(), done_.end(), [](bool d) { return d; });
  }

 private:
  std::shared_ptr<const Graph> graph_;
  Context context_;
  std::vector<Step> steps_;
  std::vector<bool> done_;
  std::vector<char> told_;  // for TSan, by node

  static void order(const void* first, const void* then) {
    tsan::Actor messenger;
    messenger.acquire(first), messenger.release(then);
  }
};

/// Puts an operation into a stream that is done at once: f(context).
template <class F>
cudaError_t queue_step(cudaStream_t stream, std::string name, F f) {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  return r.queue(r.stream_of(stream), {std::move(name), [f](const Context& c) -> Step {
                                         return [f, c] {
                                           c.engine->acquire(c.before);
                                           f(c);
                                           c.engine->release(c.after), c.engine->release(c.early);
                                           return true;
                                         };
                                       }});
}
/// The same of a function that uses memory itself: f().
template <class F>
cudaError_t queue(cudaStream_t stream, std::string name, F f) {
  return queue_step(stream, std::move(name), [f](const Context& c) {
    tsan::acquire(c.before);
    f();
    tsan::release(c.after), tsan::release(c.early);
  });
}
/// And of one that may have to wait: f() is called again until it returns true.
template <class F>
cudaError_t queue_until(cudaStream_t stream, std::string name, F f) {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  return r.queue(r.stream_of(stream), {std::move(name), [f](const Context& c) -> Step {
                                         return [f, c]() mutable {
                                           tsan::acquire(c.before);
                                           const bool done = f();
                                           if (done) tsan::release(c.after), tsan::release(c.early);
                                           return done;
                                         };
                                       }});
}

}  // namespace emulation
