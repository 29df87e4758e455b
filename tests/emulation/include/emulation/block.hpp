// Block: the threads of one block as fibres that take turns, and the places where they wait for each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "thread.hpp"

namespace emulation {

/// What a kernel comes after, and in which order its threads take turns. The addresses are tokens for TSan: what was told at
/// `before` happened before the kernel starts, what was told at `previous` before wait_for_previous_kernel() returns; what the
/// kernel did is told at `after`.
struct Order {
  const void *before = nullptr, *previous = nullptr, *after = nullptr;
  bool overlaps = false;  // it starts before the kernel ahead of it has ended
  bool reversed = false;  // threads run from the last to the first
};

class Block {
 public:
  Block(uint3 index, dim3 block, dim3 grid, std::size_t shared_bytes, const std::function<void()>& body,
        const std::string& kernel, const Order& order)
      : index_(index),
        block_dim_(block),
        grid_dim_(grid),
        count_(block.x * block.y * block.z),
        words_((count_ + warp_size - 1) / warp_size),
        body_(body),
        kernel_(kernel),
        order_(order),
        shared_bytes_(shared_bytes) {
    make_shared_memory();
    whole_ = group(0, count_);
    for (unsigned w = 0; w * warp_size < count_; ++w)
      warps_.push_back(group(w * warp_size, std::min(warp_size, count_ - w * warp_size)));
    for (unsigned g = 0; g * warpgroup_size < count_; ++g)
      warpgroups_.push_back(group(g * warpgroup_size, std::min(warpgroup_size, count_ - g * warpgroup_size)));
    for (unsigned i = 0; i < count_; ++i) alive_.add(i);
    ready_ = alive_;
    warp_desk_.prepare(count_);
    if (tsan::on) warpgroup_desk_.prepare(count_);  // else when it is needed
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { ::operator delete(shared_, std::align_val_t(alignment)); }

  void hire(Crew crew) {
    crew_ = std::move(crew);
    for (unsigned i = static_cast<unsigned>(crew_.size()); i < count_; ++i)
      crew_.push_back(std::make_unique<Thread>(&Block::thread_main, i));
    for (unsigned i = 0; i < count_; ++i) threads_[i] = crew_[i].get(), prepare(threads_[i], i);
    tsan::release(this);
  }
  Crew dismiss() { return std::move(crew_); }
  /// For TSan: what its threads did was told there.
  const void* ended() const { return &ended_; }

  /// Runs until all threads have ended (true) or those that are left wait for something outside (false). Throws Error for
  /// what a thread did wrong.
  EMULATION_UNCHECKED bool run() {
    blockIdx = index_, blockDim = block_dim_, gridDim = grid_dim_;
    for (int rounds = 0;;) {
      if (const int first = next_ready(order_.reversed ? 0 : count_ - 1); first >= 0) {
        progressed_ = false;
        enter(*threads_[first]);
        current_thread = nullptr;
        rounds = progressed_ ? 0 : rounds + 1;
      }
      if (whole_.alive == 0) break;
      if (!paused_.any()) {
        if (!aborting_) abort(std::make_exception_ptr(Error(deadlock())));
        else break;
        continue;
      }
      if (rounds > 3) return false;
      ready_ = paused_, paused_ = {};
    }
    if (error_) std::rethrow_exception(error_);
    if (order_.overlaps && !waited_)
      throw Error(place() +
                  ": ended without wait_for_previous_kernel(), though it was launched to overlap: the kernel after it "
                  "could begin before the one ahead of it has ended");
    return true;
  }
  /// Ends all its threads where they are.
  void cancel() {
    abort(std::make_exception_ptr(Error("cancelled")));
    try {
      run();
    } catch (...) {
    }
  }

  // ---- for the current thread
  Thread& self() const { return *current_thread; }
  std::byte* shared() const { return shared_; }
  std::size_t shared_bytes() const { return shared_bytes_; }
  const uint3& index() const { return index_; }
  const std::string& kernel() const { return kernel_; }
  Group& whole() { return whole_; }
  Group& warp() { return warps_.data()[self().number / warp_size]; }
  Group& warpgroup() { return warpgroups_.data()[self().number / warpgroup_size]; }
  Desk& warp_desk() { return warp_desk_; }
  Desk& warpgroup_desk() {
    warpgroup_desk_.prepare(count_);
    return warpgroup_desk_;
  }
  unsigned count() const { return count_; }

  /// Waits until all threads of the group that have not ended are here. Returns the phase in which they met.
  EMULATION_UNCHECKED unsigned meet(Group& g, Meeting what, unsigned argument = 0) {
    const tsan::Unchecked unchecked;
    Thread& t = self();
    const unsigned phase = g.phase;
    if (g.arrived == 0) {
      g.meeting = what, g.argument = argument, g.leader = t.number;
    } else if (g.meeting != what || g.argument != argument) {
      disagree(g, what, argument);
    }
    progressed_ = true;
    if (++g.arrived == g.alive) {
      complete(g);
    } else {
      t.waits_at = what;
      ready_.remove(t.number);
      leave();
      t.waits_at = Meeting::none;
    }
    return phase;
  }
  /// The same, and adds up `vote`; returns {the sum, how many voted}.
  EMULATION_UNCHECKED std::array<unsigned, 2> vote(Group& g, Meeting what, bool vote, unsigned argument = 0) {
    const tsan::Unchecked unchecked;
    const unsigned phase = g.phase & 1;
    if (g.arrived == 0) g.votes[phase] = g.voters[phase] = 0;
    g.votes[phase] += vote, ++g.voters[phase];
    meet(g, what, argument);
    return {g.votes[phase], g.voters[phase]};
  }
  /// Waits until `count` threads of the block have come to barrier `id`; `wait` false: comes, and does not wait.
  EMULATION_UNCHECKED void named_barrier(unsigned id, unsigned count, bool wait = true) {
    const tsan::Unchecked unchecked;
    NamedBarrier& b = named_[id % named_.size()];
    Thread& t = self();
    if (id >= named_.size() || count == 0 || count % warp_size != 0 || (b.arrived > 0 && b.count != count))
      fail("a named barrier of " + std::to_string(count) + " threads, number " + std::to_string(id) +
           ": there are 16 of them, and all who come give the same multiple of 32");
    progressed_ = true;
    b.count = count;
    tsan::release(&b);
    if (++b.arrived == count) {
      b.arrived = 0;
      for (unsigned w = 0; w < max_warps; ++w) ready_.warp[w] |= b.waiting.warp[w];
      b.waiting = {};
      if (wait) tsan::acquire(&b);
    } else if (wait) {
      b.waiting.add(t.number);
      ready_.remove(t.number);
      t.waits_at = Meeting::named_barrier;
      leave();
      t.waits_at = Meeting::none;
      tsan::acquire(&b);
    }
  }
  /// Lets all others run, those of other blocks and kernels too, before it goes on.
  EMULATION_UNCHECKED void pause(const char* what) {
    const tsan::Unchecked unchecked;
    Thread& t = self();
    t.waits_for = what;
    ready_.remove(t.number), paused_.add(t.number);
    leave();
    t.waits_for = nullptr;
  }
  /// Programmatic dependent launch: what the kernel ahead wrote is there.
  void wait_for_previous_kernel() {
    const tsan::Unchecked unchecked;
    waited_ = true;
    tsan::acquire(order_.previous);
  }
  void made_progress() {
    const tsan::Unchecked unchecked;
    progressed_ = true;
  }
  /// Which lanes of the current warp have not ended.
  std::uint32_t alive_lanes() const {
    const tsan::Unchecked unchecked;
    return alive_.warp[self().number / warp_size];
  }

  [[noreturn]] void fail(const std::string& text) const {
    const tsan::Unchecked unchecked;
    throw Error(where(self().number) + ": " + text);
  }

  /// "kernel k, block (0, 0, 0): thread 3 waits at __syncthreads; …".
  std::string deadlock() const {
    std::string text = place() + ": deadlock: ";
    std::vector<std::pair<std::string, std::vector<unsigned>>> kinds;
    for (unsigned i = 0; i < count_; ++i) {
      const Thread& t = *crew_[i];
      const std::string kind = !alive_.has(i)                ? "ended"
                               : t.waits_at != Meeting::none ? std::string("waits at ") + name_of(t.waits_at)
                               : t.waits_for                 ? std::string("waits for ") + t.waits_for
                                                             : "did not get there";
      auto it = kinds.begin();
      while (it != kinds.end() && it->first != kind) ++it;
      if (it == kinds.end()) it = kinds.insert(kinds.end(), {kind, {}});
      it->second.push_back(i);
    }
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      const auto& [kind, threads] = kinds[k];
      text += k ? ", " : "";
      if (threads.size() == 1) {
        text += "thread " + std::to_string(threads[0]) + " " + kind;
        continue;
      }
      text += std::to_string(threads.size()) + " threads (" + std::to_string(threads.front()) + " … " +
              std::to_string(threads.back()) + ") " + (kind.starts_with("waits") ? "wait" + kind.substr(5) : kind);
    }
    return text;
  }
  std::string place() const {
    return "kernel " + kernel_ + ", block (" + std::to_string(index_.x) + ", " + std::to_string(index_.y) + ", " +
           std::to_string(index_.z) + ")";
  }
  std::string where(unsigned thread) const {
    const uint3& t = crew_[thread]->index;
    return place() + ", thread (" + std::to_string(t.x) + ", " + std::to_string(t.y) + ", " + std::to_string(t.z) + ")";
  }

 private:
  struct NamedBarrier {
    unsigned count = 0, arrived = 0;
    ThreadSet waiting;
  };
  struct Aborted {};

  uint3 index_;
  dim3 block_dim_, grid_dim_;
  unsigned count_, words_;  // threads, warps
  const std::function<void()>& body_;
  const std::string& kernel_;
  Order order_;
  std::byte* shared_ = nullptr;
  std::size_t shared_bytes_;
  Crew crew_;
  Thread* threads_[max_threads];  // of the crew
  Fiber outside_;
  ThreadSet alive_, ready_, paused_;
  Group whole_;
  std::vector<Group> warps_, warpgroups_;
  Desk warp_desk_, warpgroup_desk_;
  std::array<NamedBarrier, 16> named_{};
  bool progressed_ = false, aborting_ = false, waited_ = false;
  std::exception_ptr error_;
  char ended_ = 0;  // for TSan

  static Group group(unsigned first, unsigned size) {
    Group g;
    g.first = first, g.size = g.alive = size;
    return g;
  }

  // Shared memory is a block of the heap of exactly the bytes that were asked for, full of NaN, so that AddressSanitizer
  // finds what reaches beyond it and results show what was never written. Without the sanitizer, a margin is looked at.
  static constexpr std::size_t alignment = 1024, margin = 64;
  static constexpr unsigned char nan_byte = 0xff, margin_byte = 0xa5;
  void make_shared_memory() {
#ifdef __SANITIZE_ADDRESS__
    const std::size_t behind = 0;
#else
    const std::size_t behind = margin;
#endif
    shared_ = static_cast<std::byte*>(::operator new(shared_bytes_ + behind, std::align_val_t(alignment)));
    std::memset(shared_, nan_byte, shared_bytes_);
    if (behind) std::memset(shared_ + shared_bytes_, margin_byte, behind);
  }
  EMULATION_UNCHECKED bool margin_is_whole() const {
#ifndef __SANITIZE_ADDRESS__
    for (std::size_t i = 0; i < margin; ++i)
      if (shared_[shared_bytes_ + i] != std::byte{margin_byte}) return false;
#endif
    return true;
  }

  /// The next ready thread after `from`, in turns; -1 where there is none.
  EMULATION_UNCHECKED int next_ready(unsigned from) const {
    unsigned w = from / warp_size;
    const std::uint32_t self = 1u << from % warp_size;
    if (order_.reversed) {
      std::uint32_t bits = ready_.warp[w] & (self - 1);
      for (unsigned seen = 0; seen <= words_; ++seen) {
        if (bits) return static_cast<int>(w * warp_size) + 31 - std::countl_zero(bits);
        w = w == 0 ? words_ - 1 : w - 1;
        bits = ready_.warp[w];
      }
      return -1;
    }
    std::uint32_t bits = ready_.warp[w] & ~(self | (self - 1));
    for (unsigned seen = 0; seen <= words_; ++seen) {
      if (bits) return static_cast<int>(w * warp_size) + std::countr_zero(bits);
      w = w + 1 == words_ ? 0 : w + 1;
      bits = ready_.warp[w];
    }
    return -1;
  }
  EMULATION_UNCHECKED void enter(Thread& t) {
    current_thread = &t;
    threadIdx = t.index;
    t.fiber.enter(outside_);
  }
  EMULATION_UNCHECKED void prepare(Thread* t, unsigned i) {
    t->block = this;
    t->index = {i % block_dim_.x, i / block_dim_.x % block_dim_.y, i / block_dim_.x / block_dim_.y};
    t->waits_at = Meeting::none, t->waits_for = nullptr;
    t->fenced = false;
  }
  EMULATION_UNCHECKED bool aborting() const { return aborting_; }
  /// Waits until it is made ready and its turn comes.
  EMULATION_UNCHECKED void leave() {
    switch_away();
    if (aborting_) throw Aborted();
  }
  /// Goes on in the next ready thread, or outside. What has ended does not come back to this block.
  EMULATION_UNCHECKED void switch_away() {
    Thread& t = self();
    const int next = next_ready(t.number);
    if (next < 0) {
      outside_.enter(t.fiber);
    } else if (static_cast<unsigned>(next) != t.number) {
      Thread& other = *threads_[next];
      current_thread = &other;
      threadIdx = other.index;
      other.fiber.enter(t.fiber);
    }
  }
  EMULATION_UNCHECKED void complete(Group& g) {
    g.arrived = 0, ++g.phase;
    progressed_ = true;
    for (unsigned w = g.first / warp_size; w * warp_size < g.first + g.size; ++w) ready_.warp[w] |= alive_.warp[w];
  }
  EMULATION_UNCHECKED void end(Thread& t) {
    alive_.remove(t.number), ready_.remove(t.number);
    progressed_ = true;
    for (Group* g : {&whole_, &warps_.data()[t.number / warp_size], &warpgroups_.data()[t.number / warpgroup_size]})
      if (--g->alive > 0 && g->arrived == g->alive) complete(*g);
  }
  void abort(std::exception_ptr why) {
    const tsan::Unchecked unchecked;
    if (!error_) error_ = why;
    aborting_ = true;
    ready_ = alive_, paused_ = {};
  }
  [[noreturn]] void disagree(const Group& g, Meeting what, unsigned argument) {
    std::string text = "is at " + std::string(name_of(what));
    if (g.meeting == what)
      text += " with another mask or argument (" + std::to_string(argument) + ") than thread " +
              std::to_string(g.leader) + " (" + std::to_string(g.argument) + ")";
    else text += " while thread " + std::to_string(g.leader) + " waits at " + name_of(g.meeting);
    fail(text);
  }

  static void thread_main() {
    Fiber::arrived(current_thread->fiber);
    for (;;) next_block().serve();
  }
  EMULATION_UNCHECKED static Block& next_block() {
    Block& block = *current_thread->block;
    tsan::acquire(&block);
    return block;
  }
  void serve() {
    tsan::acquire(order_.before);
    self().copies.clear(), self().open_copies.clear(), self().batches.reset();
    try {
      if (!aborting()) body_();
      if (!margin_is_whole()) fail("wrote beyond the block's shared memory, or somebody before it did");
    } catch (const Aborted&) {
    } catch (...) {
      abort(std::current_exception());
    }
    retire();
  }
  EMULATION_UNCHECKED void retire() {
    tsan::release(order_.after);
    tsan::release(&ended_);
    {
      const tsan::Unchecked unchecked;
      end(self());
    }
    switch_away();
  }
};

}  // namespace emulation
