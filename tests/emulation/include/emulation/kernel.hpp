// KernelRun: a kernel under way. Blocks run one after the other, or in turns where they wait for each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <list>
#include <map>

#include "block.hpp"

namespace emulation {

struct KernelLaunch {
  std::string name;
  dim3 grid, block;
  std::size_t shared = 0;
  unsigned resident = 1;  // blocks that fit the GPU at the same time
  bool overlaps = false;  // programmatic dependent launch
  std::function<void()> body;
  char token = 0;  // for TSan: all who ran it
};

/// Fibres that wait for work, of one thread of the system. Under ThreadSanitizer neighbouring blocks and different streams
/// have different ones, and so have kernels that overlap, so that it takes them for different threads.
class Crews {
 public:
  static Crews& here() {
    static thread_local Crews crews;
    return crews;
  }
  Crew take(std::size_t kind) {
    std::vector<Crew>& free = free_[tsan::on ? kind : 0];
    if (free.empty()) return {};
    Crew crew = std::move(free.back());
    free.pop_back();
    return crew;
  }
  void give_back(std::size_t kind, Crew crew) { free_[tsan::on ? kind : 0].push_back(std::move(crew)); }

 private:
  std::map<std::size_t, std::vector<Crew>> free_;
};

class KernelRun {
 public:
  /// `stream`: a number for it.
  KernelRun(std::shared_ptr<const KernelLaunch> launch, std::size_t stream, const Order& order)
      : launch_(std::move(launch)),
        order_(order),
        crew_kind_(stream % 4 * 6 + (order.overlaps ? 2 * (1 + overlapping()++ % 2) : 0)),
        blocks_(std::uint64_t{launch_->grid.x} * launch_->grid.y * launch_->grid.z) {}
  KernelRun(const KernelRun&) = delete;
  KernelRun& operator=(const KernelRun&) = delete;
  ~KernelRun() {
    for (auto& b : resident_) b->cancel(), remove(b);
  }

  /// Runs as far as it gets; true when all blocks have ended. Throws what a block threw.
  bool progress() {
    for (auto it = resident_.begin(); it != resident_.end();) it = step(it);
    while (next_ < blocks_ && resident_.size() < launch_->resident) {
      const dim3& g = launch_->grid;
      const std::uint64_t i = order_.reversed ? blocks_ - 1 - next_ : next_;
      const uint3 index{static_cast<unsigned>(i % g.x), static_cast<unsigned>(i / g.x % g.y),
                        static_cast<unsigned>(i / g.x / g.y)};
      auto block =
          std::make_unique<Block>(index, launch_->block, g, launch_->shared, launch_->body, launch_->name, order_);
      const std::size_t kind = crew_kind_ + next_ % 2;
      ++next_;
      kinds_[block.get()] = kind;
      block->hire(Crews::here().take(kind));
      resident_.push_back(std::move(block));
      step(std::prev(resident_.end()));
    }
    return next_ == blocks_ && resident_.empty();
  }
  std::uint64_t blocks_ended() const { return next_ - resident_.size(); }
  /// What its threads wait for.
  std::string describe() const {
    return resident_.empty() ? "kernel " + launch_->name + " has not begun" : resident_.front()->deadlock();
  }

 private:
  using Blocks = std::list<std::unique_ptr<Block>>;
  std::shared_ptr<const KernelLaunch> launch_;
  Order order_;
  std::size_t crew_kind_;
  std::uint64_t blocks_, next_ = 0;
  Blocks resident_;
  std::map<const Block*, std::size_t> kinds_;

  static unsigned& overlapping() {
    static thread_local unsigned kernels = 0;
    return kernels;
  }
  Blocks::iterator step(Blocks::iterator it) {
    try {
      if (!(*it)->run()) return std::next(it);
    } catch (...) {
      remove(*it);
      resident_.erase(it);
      throw;
    }
    remove(*it);
    return resident_.erase(it);
  }
  /// Its fibres go back. For ThreadSanitizer, blocks of one kernel are not ordered.
  void remove(std::unique_ptr<Block>& block) {
    Crews::here().give_back(kinds_[block.get()], block->dismiss());
    kinds_.erase(block.get());
    Block* const ended = block.release();
    tsan::reaper().destroy_after(ended->ended(), ended);
  }
};

}  // namespace emulation
