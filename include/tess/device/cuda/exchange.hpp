// Exchange: collectives over the ranks of a mesh, whatever connects them: one GPU, GPUs that see each other, or NCCL.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <utility>

#include "connections.hpp"

namespace tess::cuda {

/// A box that goes from the shard of one rank into that of another, or of the same. All processes name the moves of all
/// ranks, in the same order.
struct Move {
  index_t from = 0, to = 0;
  StridedBox box{};
};

/// Everything is queued on the streams of the GPUs, and can be recorded into a graph (the first call of a kind
/// cannot: it connects).
class Exchange {
 public:
  Exchange(const Options& options, const Places& places, std::vector<Gpu*> gpus)
      : links_(options, places, std::move(gpus)) {}

  void move(std::span<const Move> moves, const Ends& ends) {
    const index_t ranks = static_cast<index_t>(ends.to.size());
    if (links_.processes() > 1 && links_.are_connected(ranks))
      (void)links_.communicator(ranks);  // also of those that send nothing: all connect, or none
    std::vector<std::vector<BoxCopy>> before(count()), after(count());
    std::vector<std::shared_ptr<std::byte>> packed;
    std::vector<Message> messages;
    bool meets = false;
    for (const Move& m : moves) {
      const index_t bytes = m.box.bytes();
      const std::byte* source = ends.source(m.from);
      std::byte* target = ends.target(m.to);
      if (links_.is_alone() && target && !source) source = any_source(ends);
      if (bytes == 0 || (!source && !target) || (links_.is_alone() && !target)) continue;
      if (source && target && (links_.is_alone() || links_.is_direct(m.from, m.to, ranks))) {
        meets = meets || gpu_index(m.from, ranks) != gpu_index(m.to, ranks);
        before[gpu_index(m.to, ranks)].push_back({target, source, m.box});
        continue;
      }
      Message message{m.from, m.to, nullptr, nullptr, bytes};
      if (source) {
        message.source = source + m.box.from_offset;
        if (!m.box.is_packed_from()) {
          packed.push_back(gpu(m.from, ranks).scratch<std::byte>(bytes));
          before[gpu_index(m.from, ranks)].push_back({packed.back().get(), source, m.box.packed_to()});
          message.source = packed.back().get();
        }
      }
      if (target) {
        message.target = target + m.box.to_offset;
        if (!m.box.is_packed_to()) {
          packed.push_back(gpu(m.to, ranks).scratch<std::byte>(bytes));
          after[gpu_index(m.to, ranks)].push_back({target, packed.back().get(), m.box.packed_from()});
          message.target = packed.back().get();
        }
      }
      messages.push_back(message);
    }
    if (meets) links_.meet();
    copy(before);
    if (!messages.empty()) {
      if (links_.are_connected(ranks)) {
        links_.communicator(ranks).send(messages);
      } else {
        links_.meet();
        for (const Message& m : messages) copy_between_gpus(m, ranks);
        meets = true;
      }
    }
    copy(after);
    if (meets) links_.meet();  // before what was read is overwritten
  }

  /// Rank r of each group of n has `bytes`, all get those of all; `box(member, r)`: where a member's go at r.
  template <class F>
  void all_gather(const Groups& groups, const Ends& ends, index_t bytes, F box) {
    const index_t ranks = static_cast<index_t>(ends.to.size());
    std::vector<std::vector<BoxCopy>> after(count());
    std::vector<std::shared_ptr<std::byte>> packed;
    Ends flat = ends;
    for (index_t r = 0; r < ranks; ++r) {
      std::byte* const target = ends.target(r);
      if (!target) continue;
      std::vector<StridedBox> parts;
      bool in_place = true;
      for (const index_t member : members(groups, r)) {
        parts.push_back(box(member, r));
        in_place = in_place && parts.back().is_packed_to() &&
                   parts.back().to_offset == static_cast<index_t>(parts.size() - 1) * bytes;
      }
      if (in_place) continue;
      packed.push_back(gpu(r, ranks).scratch<std::byte>(bytes * static_cast<index_t>(parts.size())));
      std::byte* at = flat.to[static_cast<std::size_t>(r)] = packed.back().get();
      for (const StridedBox& part : parts) {
        after[gpu_index(r, ranks)].push_back({target, at, part.packed_from()});
        at += bytes;
      }
    }
    links_.communicator(ranks).all_gather(groups, flat, bytes);
    copy(after);
  }

  /// Puts boxes together that lie alike: rank r gets `box(r)` of all members of its group.
  template <class T, class F>
  void reduce(Reduction kind, const Groups& groups, const Ends& ends, bool scatter, F box) {
    const index_t ranks = static_cast<index_t>(ends.to.size()), bytes = box(0).bytes();
    const index_t elements = bytes / static_cast<index_t>(sizeof(T));
    if (bytes == 0) return;
    if (links_.is_alone()) return put_together_direct<T>(kind, groups, made_up(ends), scatter, box);
    bool direct = true, small = !scatter;
    for (index_t r = 0; r < ranks; ++r) {
      const std::vector<index_t> group = members(groups, r);
      for (const index_t p : group) direct = direct && links_.is_direct(p, r, ranks);
      small = small && links_.are_small_peers(group, ranks, bytes);
    }
    if (small) return links_.one_shot(groups, ranks).template all_reduce<T>(kind, ends, elements);
    if (direct) return put_together_direct<T>(kind, groups, ends, scatter, box);
    constexpr ElementType type = element_of<T>();
    const bool is_exact = kind == Reduction::sum || std::is_integral_v<T>;  // NCCL's maximum of NaN and 1 is 1
    if (!links_.are_connected(ranks) || type == ElementType::other || !is_exact)
      return put_together_fetched<T>(kind, groups, ends, box);
    if (!scatter) return links_.communicator(ranks).all_reduce(groups, ends, elements, type, kind);
    reduce_scatter(groups, ends, elements, bytes, type, kind, box);
  }

  /// What is queued later, on any GPU of this process, comes after all that is queued now.
  void meet() { links_.meet(); }

  /// Does a communicator connect the ranks of a mesh of so many?
  bool has_communicator(index_t ranks) const { return links_.are_connected(ranks); }

  /// Does it hold in some process? Waits for all of them.
  bool any(bool here) {
    const index_t ranks = links_.processes() * links_.gpus();
    if (links_.processes() == 1 || links_.is_alone()) return here;
    Ends ends{std::vector<const std::byte*>(static_cast<std::size_t>(ranks)),
              std::vector<std::byte*>(static_cast<std::size_t>(ranks))};
    const i32 mine = here;
    i32 found = 0;
    std::vector<std::shared_ptr<i32>> memory;
    index_t first = -1;
    for (index_t r = 0; r < ranks; ++r) {
      if (!links_.is_here(r)) continue;
      if (first < 0) first = r;
      memory.push_back(gpu(r, ranks).scratch<i32>(1));
      gpu(r, ranks).upload(memory.back().get(), &mine, sizeof(i32));
      auto* at = reinterpret_cast<std::byte*>(memory.back().get());
      ends.from[static_cast<std::size_t>(r)] = ends.to[static_cast<std::size_t>(r)] = at;
    }
    links_.communicator(ranks).all_reduce(Groups(static_cast<std::size_t>(ranks), 0), ends, 1, ElementType::i32,
                                          Reduction::max);
    gpu(first, ranks).download(&found, ends.target(first), sizeof(i32));
    return found != 0;
  }

 private:
  Connections links_;

  std::size_t count() const { return static_cast<std::size_t>(links_.gpus()); }
  std::size_t gpu_index(index_t rank, index_t ranks) const {
    return static_cast<std::size_t>(links_.gpu_of(rank, ranks));
  }
  Gpu& gpu(index_t rank, index_t ranks) const { return links_.gpu(links_.gpu_of(rank, ranks)); }
  static const std::byte* any_source(const Ends& ends) {
    for (const std::byte* s : ends.from)
      if (s) return s;
    return nullptr;
  }
  /// What other processes would send is what this one has.
  static Ends made_up(Ends ends) {
    for (const std::byte*& s : ends.from)
      if (!s) s = any_source(ends);
    return ends;
  }
  static std::vector<index_t> members(const Groups& groups, index_t r) {
    std::vector<index_t> all;
    for (std::size_t p = 0; p < groups.size(); ++p)
      if (groups[p] == groups[static_cast<std::size_t>(r)]) all.push_back(static_cast<index_t>(p));
    return all;
  }

  void copy(const std::vector<std::vector<BoxCopy>>& by_gpu) {
    for (std::size_t g = 0; g < count(); ++g)
      if (!by_gpu[g].empty()) copy_boxes(links_.gpu(static_cast<index_t>(g)), by_gpu[g]);
  }
  /// By the copy engines, which also go where kernels cannot read.
  void copy_between_gpus(const Message& m, index_t ranks) {
    const Gpu &from = gpu(m.from, ranks), &to = gpu(m.to, ranks);
    to.use();
    check(cudaMemcpyPeerAsync(m.target, to.ordinal(), m.source, from.ordinal(), static_cast<std::size_t>(m.bytes),
                              to.stream()),
          "cudaMemcpyPeerAsync");
  }

  /// Every GPU reads the boxes of all members, and writes the result of its ranks.
  template <class T, class F>
  void put_together_direct(Reduction kind, const Groups& groups, const Ends& ends, bool scatter, F box) {
    const index_t ranks = static_cast<index_t>(ends.to.size());
    std::vector<std::map<std::size_t, std::vector<Sum<T>>>> sums(count());  // by GPU, and by number of destinations
    bool meets = false;
    for (index_t r = 0; r < ranks; ++r) {
      if (!ends.target(r)) continue;
      const std::size_t g = gpu_index(r, ranks);
      Sum<T> sum;
      bool is_first = true;
      for (const index_t p : members(groups, r)) {
        sum.from.push_back(reinterpret_cast<const T*>(ends.source(p) + box(r).from_offset));
        if (links_.is_alone() && p != r) continue;
        const bool same = gpu_index(p, ranks) == g;
        meets = meets || !same;
        if (same && !scatter && p < r) is_first = false;
        if (p == r || (same && !scatter)) sum.to.push_back(reinterpret_cast<T*>(ends.target(p)));
      }
      if (is_first) sums[g][sum.to.size()].push_back(std::move(sum));
    }
    if (meets) links_.meet();
    for (std::size_t g = 0; g < count(); ++g)
      for (const auto& [destinations, same_size] : sums[g])
        put_together<T>(links_.gpu(static_cast<index_t>(g)), kind, box(0), same_size);
    if (meets) links_.meet();
  }

  /// Brings the boxes of all members to every rank, and puts them together there.
  template <class T, class F>
  void put_together_fetched(Reduction kind, const Groups& groups, const Ends& ends, F box) {
    const index_t ranks = static_cast<index_t>(ends.to.size()), bytes = box(0).bytes();
    std::vector<std::shared_ptr<std::byte>> fetched(static_cast<std::size_t>(ranks));
    std::vector<Move> moves;
    Ends there{ends.from, std::vector<std::byte*>(static_cast<std::size_t>(ranks))};
    for (index_t r = 0; r < ranks; ++r) {
      const std::vector<index_t> all = members(groups, r);
      const auto i = static_cast<std::size_t>(r);
      if (ends.target(r)) {
        fetched[i] = gpu(r, ranks).scratch<std::byte>(bytes * static_cast<index_t>(all.size()));
        there.to[i] = fetched[i].get();
      }
      index_t at = 0;
      for (const index_t p : all) {
        StridedBox b = box(r).packed_to();
        b.to_offset = at, at += bytes;
        moves.push_back({p, r, b});
      }
    }
    move(moves, there);
    StridedBox flat;
    flat.run = bytes;
    for (index_t r = 0; r < ranks; ++r) {
      if (!ends.target(r)) continue;
      Sum<T> sum{{reinterpret_cast<T*>(ends.target(r))}, {}};
      for (std::size_t m = 0; m < members(groups, r).size(); ++m)
        sum.from.push_back(reinterpret_cast<const T*>(there.target(r) + static_cast<index_t>(m) * bytes));
      put_together<T>(gpu(r, ranks), kind, flat, std::span<const Sum<T>>(&sum, 1));
    }
  }

  template <class F>
  void reduce_scatter(const Groups& groups, const Ends& ends, index_t elements, index_t bytes, ElementType type,
                      Reduction kind, F box) {
    const index_t ranks = static_cast<index_t>(ends.to.size());
    std::vector<std::vector<BoxCopy>> before(count());
    std::vector<std::shared_ptr<std::byte>> packed;
    Ends flat = ends;
    for (index_t r = 0; r < ranks; ++r) {
      const std::byte* const source = ends.source(r);
      if (!source) continue;
      std::vector<StridedBox> parts;
      bool in_place = true;
      for (const index_t member : members(groups, r)) {
        parts.push_back(box(member));
        in_place = in_place && parts.back().is_packed_from() &&
                   parts.back().from_offset == static_cast<index_t>(parts.size() - 1) * bytes;
      }
      if (in_place) continue;
      packed.push_back(gpu(r, ranks).scratch<std::byte>(bytes * static_cast<index_t>(parts.size())));
      std::byte* at = packed.back().get();
      flat.from[static_cast<std::size_t>(r)] = at;
      for (const StridedBox& part : parts) {
        before[gpu_index(r, ranks)].push_back({at, source, part.packed_to()});
        at += bytes;
      }
    }
    copy(before);
    links_.communicator(ranks).reduce_scatter(groups, flat, elements, type, kind);
  }
};

}  // namespace tess::cuda
