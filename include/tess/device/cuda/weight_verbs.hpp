// The verbs on weights: gather_weights, which puts the parts of a group together on every GPU that needs them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "../../sharding/device_bytes.hpp"
#include "../../sharding/device_slice.hpp"
#include "../traffic.hpp"
#include "exchange.hpp"
#include "owned_weights.hpp"

namespace tess::cuda {

/// Of `Self`: Base, `exchange()`.
template <class Self>
class WeightVerbs {
 public:
  /// Ranks of one GPU with equal results share one, as parameters do; each has received what it lacked. In one process rows
  /// and scales are copied from GPU to GPU by the copy engines, between processes they travel as boxes.
  template <AnyTensor Y, AnyTensor W>
  void gather_weights(Y& y, const W& w) {
    using M = typename W::mesh;
    using Shard = typename W::storage_type::Shard;
    constexpr index_t ranks = M::size;
    const index_t groups = w.storage().scale_groups(w.extent(W::rank - 2));
    std::map<std::pair<int, Slice<Y::rank>>, Shard> made;
    std::vector<Shard> shards;
    Received received;
    for (index_t r = 0; r < ranks; ++r) received.push_back(device_bytes(y, r, groups) - device_bytes(w, r, groups));
    if (self().places().processes > 1) shards = put_together_between_processes(y, w, groups);
    else {
      self().exchange().meet();  // parts may still be on their way to the other GPUs
      for (index_t r = 0; r < ranks; ++r) {
        Gpu& gpu = self().gpu_of(r, ranks);
        Shard& shard = made[{gpu.ordinal(), begins(device_slice<typename Y::spec, M>(y.extents(), r))}];
        if (!shard) shard = put_together(gpu, y, w, r, groups);
        shards.push_back(shard);
      }
    }
    y.storage() = typename Y::storage_type(std::move(shards));
    self().count_step(received);
  }

 private:
  template <int Rank>
  using Slice = std::array<index_t, static_cast<std::size_t>(Rank)>;

  Self& self() { return static_cast<Self&>(*this); }

  template <std::size_t Rank>
  static std::array<index_t, Rank> begins(const std::array<Range, Rank>& slice) {
    std::array<index_t, Rank> at{};
    for (std::size_t d = 0; d < Rank; ++d) at[d] = slice[d].begin;
    return at;
  }
  template <std::size_t Rank>
  static bool within(const std::array<Range, Rank>& part, const std::array<Range, Rank>& whole) {
    for (std::size_t d = 0; d < Rank; ++d)
      if (part[d].begin < whole[d].begin || part[d].end > whole[d].end) return false;
    return true;
  }

  /// What rank r will hold, from the distinct parts of all ranks that lie within it.
  template <AnyTensor Y, AnyTensor W>
  auto put_together(Gpu& gpu, const Y& y, const W& w, index_t r, index_t groups) {
    using M = typename W::mesh;
    using E = typename W::storage_type::Element;
    constexpr std::size_t k = W::rank - 2, n = W::rank - 1;
    const auto whole = device_slice<typename Y::spec, M>(y.extents(), r);
    const index_t count = W::rank == 3 ? whole[0].size() : 1, group_rows = w.extent(W::rank - 2) / groups;
    auto owned = std::make_shared<OwnedWeights<E>>(
        blank_weights<E>(gpu, count, whole[k].size(), whole[n].size(), false, group_rows, whole[k].begin % group_rows));
    const Weights<E>& to = owned->view;
    std::map<Slice<W::rank>, bool> seen;
    for (index_t p = 0; p < M::size; ++p) {
      const auto part = device_slice<typename W::spec, M>(w.extents(), p);
      if (!within(part, whole) || !seen.emplace(begins(part), true).second) continue;
      const Weights<E>& from = w.storage().weights(p);
      const index_t first = W::rank == 3 ? part[0].begin - whole[0].begin : 0, row = part[k].begin - whole[k].begin,
                    column = part[n].begin - whole[n].begin;
      for (index_t e = 0; e < from.count; ++e) {
        copy_rows(gpu, const_cast<E*>(to.matrix(first + e)) + row * to.pitch + column, to.pitch, from.matrix(e),
                  from.pitch, from.columns, from.rows);
        if constexpr (Weights<E>::has_scales)
          copy_rows(gpu, const_cast<bf16*>(to.scales_of(first + e)) + to.group_of(row) * to.scale_pitch + column,
                    to.scale_pitch, from.scales_of(e), from.scale_pitch, from.columns, from.groups);
      }
    }
    return std::shared_ptr<const OwnedWeights<E>>(std::move(owned));
  }

  /// What each rank of this process will hold. A part that a rank has itself it takes from nobody else.
  template <AnyTensor Y, AnyTensor W>
  auto put_together_between_processes(const Y& y, const W& w, index_t groups) {
    using M = typename W::mesh;
    using Element = typename W::storage_type::Element;
    constexpr std::size_t k = W::rank - 2, n = W::rank - 1;
    constexpr index_t ranks = M::size;
    const index_t group_rows = w.extent(W::rank - 2) / groups;
    std::vector<typename W::storage_type::Shard> shards(static_cast<std::size_t>(ranks));
    std::vector<Move> rows, scale_rows;
    Ends elements = nowhere(ranks), scales = nowhere(ranks);
    for (index_t r = 0; r < ranks; ++r) {
      const auto whole = device_slice<typename Y::spec, M>(y.extents(), r);
      if (const auto i = static_cast<std::size_t>(r); self().places().is_here(r)) {
        auto owned = std::make_shared<OwnedWeights<Element>>(
            blank_weights<Element>(self().gpu_of(r, ranks), W::rank == 3 ? whole[0].size() : 1, whole[k].size(),
                                   whole[n].size(), false, group_rows, whole[k].begin % group_rows));
        const Weights<Element>& mine = w.storage().weights(r);
        elements.from[i] = reinterpret_cast<const std::byte*>(mine.data),
        elements.to[i] = static_cast<std::byte*>(owned->elements.get());
        if constexpr (Weights<Element>::has_scales)
          scales.from[i] = reinterpret_cast<const std::byte*>(mine.scales),
          scales.to[i] = static_cast<std::byte*>(owned->scales.get());
        shards[i] = std::move(owned);
      }
      std::map<Slice<W::rank>, bool> seen;
      for (index_t turn = 0; turn <= ranks; ++turn) {
        const index_t p = turn == 0 ? r : turn - 1;
        const auto part = device_slice<typename W::spec, M>(w.extents(), p);
        if (!within(part, whole) || !seen.emplace(begins(part), true).second) continue;
        const index_t first = W::rank == 3 ? part[0].begin - whole[0].begin : 0,
                      count = W::rank == 3 ? part[0].size() : 1;
        rows.push_back({p, r, matrices<Element>(count, first, whole[k], part[k], whole[n], part[n])});
        if constexpr (Weights<Element>::has_scales) {  // a row of scales comes from the part in which its group begins
          const auto group = [&](Range of, index_t at) { return at / group_rows - of.begin / group_rows; };
          const Range all{0, group(whole[k], whole[k].end - 1) + 1}, theirs{0, group(part[k], part[k].end - 1) + 1};
          const index_t skipped = part[k].begin > whole[k].begin && part[k].begin % group_rows != 0 ? 1 : 0;
          const index_t at = group(whole[k], part[k].begin);
          if (part[k].size() > 0 && skipped < theirs.end)
            scale_rows.push_back({p, r,
                                  matrices<bf16>(count, first, all, {at + skipped, at + theirs.end}, whole[n], part[n],
                                                 theirs.end, skipped)});
        }
      }
    }
    self().exchange().move(rows, elements);
    if (!scale_rows.empty()) self().exchange().move(scale_rows, scales);
    return shards;
  }
  static Ends nowhere(index_t ranks) {
    return {std::vector<const std::byte*>(static_cast<std::size_t>(ranks)),
            std::vector<std::byte*>(static_cast<std::size_t>(ranks))};
  }
  /// `count` matrices from number `first` on: rows and columns of `part`, from memory that holds all of its `part_rows` (or
  /// just these), to one that holds `whole`. Rows are padded to 16 bytes on both sides.
  template <class E>
  static StridedBox matrices(index_t count, index_t first, Range whole_rows, Range rows, Range whole_columns,
                             Range columns, index_t part_rows = -1, index_t skipped = 0) {
    constexpr index_t word = 16, size = sizeof(E);
    const index_t to = round_up(whole_columns.size() * size, word), from = round_up(columns.size() * size, word);
    StridedBox b;
    b.run = columns.size() * size, b.rank = 2;
    b.dims[0] = {rows.size(), to, from};
    b.dims[1] = {count, whole_rows.size() * to, (part_rows < 0 ? rows.size() : part_rows) * from};
    b.to_offset =
        (first * whole_rows.size() + rows.begin - whole_rows.begin) * to + (columns.begin - whole_columns.begin) * size;
    b.from_offset = skipped * from;
    return b;
  }
};

}  // namespace tess::cuda
