// The verbs that move shards between ranks: collective, send. Every byte is counted, wherever the ranks live.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "../transition.hpp"
#include "base.hpp"
#include "exchange.hpp"

namespace tess::cuda {

/// Of `Self`: Base.
template <class Self>
class ExchangeVerbs {
 public:
  /// What connects the ranks; made when it is first asked for.
  Exchange& exchange() {
    if (!exchange_) {
      std::vector<Gpu*> gpus;
      for (index_t g = 0; g < self().gpu_count(); ++g) gpus.push_back(&self().gpu(g));
      exchange_ = std::make_unique<Exchange>(self().options(), self().places(), std::move(gpus));
    }
    return *exchange_;
  }

  template <class Step, AnyTensor Y, AnyTensor X>
  void collective(Step, Y& y, const X& x) {
    Transition step{Step::kind, mesh_value<typename X::mesh>, X::sharding, Y::sharding, {}};
    std::copy_n(x.extents().array().begin(), X::rank, step.whole.begin());
    const Received received = carry_out<typename X::value_type>(step, ends_of(y, x));
    if (moves_bytes(Step::kind)) self().count_collective(received);
  }

  /// Along `axes` (major to minor) the block of device `pair[0]` goes to `pair[1]`; who gets none has zeros.
  template <AnyTensor Y, AnyTensor X, std::size_t N>
  void send(Y& y, const X& x, const DimAxes& axes, const std::array<std::array<index_t, 2>, N>& pairs) {
    using M = typename X::mesh;
    using T = typename X::value_type;
    const index_t bytes = x.local_extents().size() * static_cast<index_t>(sizeof(T));
    StridedBox block;
    block.run = bytes;
    std::vector<Move> moves;
    std::vector<index_t> without;
    Received received(static_cast<std::size_t>(M::size), 0);
    for (index_t r = 0; r < M::size; ++r) {
      const index_t here = shard_index<M>(axes, r);
      index_t peer = -1;
      for (const auto& [source, destination] : pairs)
        if (destination == here) peer = tess::detail::at_shard(mesh_value<M>, axes, r, source);  // the last one counts
      if (peer >= 0) moves.push_back({peer, r, block});
      else without.push_back(r);
      if (peer >= 0 && peer != r) received[static_cast<std::size_t>(r)] = bytes;
    }
    const Ends ends = ends_of(y, x);
    fill_shards<T>(
        ends, M::size, [&](index_t r) { return std::find(without.begin(), without.end(), r) != without.end(); },
        x.local_extents().size(), T{});
    exchange().move(moves, ends);
    self().count_step(received);
  }

  /// One step of a plan; what each rank of the mesh receives.
  template <class T>
  Received carry_out(const Transition& t, const Ends& ends) {
    constexpr auto element = static_cast<index_t>(sizeof(T));
    const index_t ranks = t.mesh.devices();
    Received received(static_cast<std::size_t>(ranks), 0);
    const auto held = [&](const SpecValue& spec, index_t r) { return shard_box(t.mesh, spec, t.whole, r); };
    const auto groups_over = [&](unsigned axes) {
      Groups groups;
      for (index_t r = 0; r < ranks; ++r) groups.push_back(tess::detail::renumbered(t.mesh, axes, r, 0));
      return groups;
    };

    if (t.what == Collective::reduce_scatter || t.what == Collective::all_reduce) {
      const bool scatter = t.what == Collective::reduce_scatter;
      const auto part = [&](index_t r) {
        const Box all = held(t.from, r), mine = scatter ? held(t.to, r) : all;
        return strided_box(mine, mine, all, element);
      };
      exchange().template reduce<T>(t.from.kind, groups_over(t.reduced_axes()), ends, scatter, part);
      for (index_t r = 0; r < ranks; ++r) {
        const std::vector<index_t> group = group_of(t.mesh, t.reduced_axes(), r);
        const auto n = static_cast<index_t>(group.size());
        const index_t own = std::find(group.begin(), group.end(), r) - group.begin();
        received[static_cast<std::size_t>(r)] =
            scatter ? part(r).bytes() * (n - 1) : Chunks{held(t.from, r).size(), n}.received(own) * element;
      }
      return received;
    }
    if (t.what == Collective::pend) {
      keep_once<T>(t, ends, held);
      return received;
    }

    std::vector<Move> moves;
    for (index_t r = 0; r < ranks; ++r) {
      const Box mine = held(t.to, r);
      for_each_piece(t.mesh, t.from, t.to, t.whole, r, [&](index_t peer, const Box& piece) {
        moves.push_back({peer, r, strided_box(piece, mine, held(t.from, peer), element)});
        if (peer != r) received[static_cast<std::size_t>(r)] += piece.size() * element;
      });
    }
    if (t.what == Collective::all_gather && exchange().has_communicator(ranks))
      exchange().all_gather(groups_over(t.from.sharded() & ~t.to.sharded()), ends, held(t.from, 0).size() * element,
                            [&](index_t member, index_t r) {
                              const Box theirs = held(t.from, member);
                              return strided_box(theirs, held(t.to, r), theirs, element);
                            });
    else exchange().move(moves, ends);
    return received;
  }

 private:
  std::unique_ptr<Exchange> exchange_;

  Self& self() { return static_cast<Self&>(*this); }

  template <AnyTensor Y, AnyTensor X>
  static Ends ends_of(const Y& y, const X& x) {
    Ends ends;
    for (index_t r = 0; r < X::mesh::size; ++r) {
      ends.from.push_back(reinterpret_cast<const std::byte*>(x.storage().data(r)));
      ends.to.push_back(reinterpret_cast<std::byte*>(y.storage().data(r)));
    }
    return ends;
  }

  /// Every element stays with one rank of each group over the axes that become pending: of a shard with its owner, of
  /// copies with the first; the others hold what changes nothing.
  template <class T, class Held>
  void keep_once(const Transition& t, const Ends& ends, Held held) {
    const unsigned axes = t.to.partial & ~t.from.partial & ~t.from.sharded();
    const index_t ranks = t.mesh.devices();
    fill_shards<T>(
        ends, ranks, [](index_t) { return true; }, held(t.to, 0).size(), neutral<T>(t.to.kind));
    std::vector<Move> moves;
    for (index_t r = 0; r < ranks; ++r)
      if (const Box mine = held(t.from, r); tess::detail::number_over(t.mesh, axes, r) == 0)
        moves.push_back({r, r, strided_box(mine, held(t.to, r), mine, static_cast<index_t>(sizeof(T)))});
    exchange().move(moves, ends);
  }

  template <class T, class Which>
  void fill_shards(const Ends& ends, index_t ranks, Which which, index_t size, T value) {
    std::vector<std::vector<T*>> shards(static_cast<std::size_t>(self().gpu_count()));
    for (index_t r = 0; r < ranks; ++r)
      if (ends.target(r) && which(r))
        shards[static_cast<std::size_t>(self().places().gpu_of(r, ranks))].push_back(
            reinterpret_cast<T*>(ends.target(r)));
    for (std::size_t g = 0; g < shards.size(); ++g)
      fill_all<T>(self().gpu(static_cast<index_t>(g)), std::span<T* const>(shards[g]), size, value);
  }
};

}  // namespace tess::cuda
