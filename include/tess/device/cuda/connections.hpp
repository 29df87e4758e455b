// Connections: which ranks live here, which GPUs see each other, and the communicator between those that do not.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <utility>

#include "bootstrap.hpp"
#include "communicator.hpp"
#include "nccl.hpp"
#include "one_shot.hpp"
#include "options.hpp"
#include "peers.hpp"
#include "places.hpp"

namespace tess::cuda {

class Connections {
 public:
  Connections(const Options& options, const Places& places, std::vector<Gpu*> gpus)
      : options_(options),
        places_(places),
        gpus_(std::move(gpus)),
        peers_(gpus_, options.connection != Connection::copies) {}

  index_t processes() const { return places_.processes; }
  index_t gpus() const { return static_cast<index_t>(gpus_.size()); }  // of this process
  Gpu& gpu(index_t i) const { return *gpus_[static_cast<std::size_t>(i)]; }
  index_t gpu_of(index_t rank, index_t ranks) const { return places_.gpu_of(rank, ranks); }
  bool is_here(index_t rank) const { return places_.is_here(rank); }
  bool is_alone() const { return options_.alone; }
  void meet() { peers_.meet(); }

  /// Does a communicator connect the ranks of a mesh of so many?
  bool are_connected(index_t ranks) const {
#ifdef TESS_HAS_NCCL
    constexpr bool has_nccl = true;
#else
    constexpr bool has_nccl = false;
#endif
    if (options_.alone) return false;
    const bool wanted = has_nccl && options_.connection == Connection::automatic;
    return places_.processes > 1 || (wanted && ranks > 1 && places_.one_gpu_each(ranks));
  }
  /// Does the GPU of `to` read the shard of `from` itself?
  bool is_direct(index_t from, index_t to, index_t ranks) const {
    if (!is_here(from) || !is_here(to)) return false;
    const index_t a = gpu_of(to, ranks), b = gpu_of(from, ranks);
    return a == b || (!are_connected(ranks) && peers_.sees(a, b));
  }
  /// Can a group be put together by one kernel a GPU?
  bool are_small_peers(const std::vector<index_t>& group, index_t ranks, index_t bytes) const {
    if (places_.processes > 1 || ranks > gpus() || bytes > options_.one_shot_bytes || !OneShot::takes(group.size()))
      return false;
    for (const index_t a : group)
      for (const index_t b : group)
        if (!peers_.sees(gpu_of(a, ranks), gpu_of(b, ranks))) return false;
    return true;
  }

  /// Made at the first call, in all processes.
  Communicator& communicator(index_t ranks) {
    std::shared_ptr<Communicator>& c = communicators_[ranks];
    if (c) return *c;
#ifdef TESS_HAS_NCCL
    std::vector<Gpu*> by_rank;
    for (index_t r = 0; r < ranks; ++r) by_rank.push_back(is_here(r) ? &gpu(gpu_of(r, ranks)) : nullptr);
    std::string id = options_.nccl_id;
    if (places_.processes == 1) id = make_nccl_id();
    else if (id.empty())
      id = brought_from_first({options_.meeting, places_.process, places_.processes, options_.patience}, make_nccl_id);
    c = std::make_shared<Nccl>(std::move(by_rank), id, options_.patience);
    watched_->push_back(c);
    for (Gpu* const g : gpus_)
      g->watch([watched = watched_](double seconds) {
        for (const std::weak_ptr<Communicator>& w : *watched)
          if (const auto alive = w.lock()) alive->check(seconds);
      });
    return *c;
#else
    fail("[cuda] this program was built without NCCL, which connects several processes. ",
         "Build with it, or drive all GPUs with one process.");
#endif
  }
  OneShot& one_shot(const Groups& groups, index_t ranks) {
    if (const auto it = one_shots_.find(groups); it != one_shots_.end()) return it->second;
    std::vector<Gpu*> by_rank;
    for (index_t r = 0; r < ranks; ++r) by_rank.push_back(&gpu(gpu_of(r, ranks)));
    OneShot& made = one_shots_.try_emplace(groups, by_rank, groups, options_.one_shot_bytes).first->second;
    meet();
    return made;
  }

 private:
  Options options_;
  Places places_;
  std::vector<Gpu*> gpus_;
  Peers peers_;
  std::map<index_t, std::shared_ptr<Communicator>> communicators_;  // by ranks
  std::map<Groups, OneShot> one_shots_;
  std::shared_ptr<std::vector<std::weak_ptr<Communicator>>> watched_ =
      std::make_shared<std::vector<std::weak_ptr<Communicator>>>();
};

}  // namespace tess::cuda
