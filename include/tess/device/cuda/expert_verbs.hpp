// Verbs of Cuda for experts that lie over mesh axes: tokens travel to their experts, and the results come home.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "../../sharding/sharded_tensor.hpp"
#include "exchange.hpp"
#include "token_travel.hpp"

namespace tess::cuda {

/// `Self` is the device: Base, with `exchange()`. How many tokens go where is known on the GPUs alone, and what is sent
/// is exactly they: send_tokens and return_tokens ask for the numbers (Base::needs_host).
template <class Self>
class ExpertVerbs {
 public:
  /// Every device takes from each device of its group the tokens with a choice among its own experts: rows, all k
  /// choices and their weights, device after device. arrived [P + 1]: where the tokens of each begin.
  template <AnyTensor Rows, AnyTensor Ids, AnyTensor Weights, AnyTensor Arrived, AnyTensor X, AnyTensor HomeIds,
            AnyTensor HomeWeights>
  void send_tokens(Rows& rows, Ids& ids, Weights& weights, Arrived& arrived, const X& x, const HomeIds& home_ids,
                   const HomeWeights& home_weights, const ExpertPlaces& places) {
    using T = typename X::value_type;
    constexpr index_t ranks = X::mesh::size;
    const index_t width = x.local_extent(2), k = home_ids.local_extent(2), group = places.group();
    const Travel travel = list(home_ids, places);
    const auto n = static_cast<std::size_t>(ranks);
    std::vector<std::shared_ptr<T>> packed_rows(n);
    std::vector<std::shared_ptr<i32>> packed_ids(n);
    std::vector<std::shared_ptr<f32>> packed_weights(n);
    self().template each_rank<X>([&](index_t r, Gpu& gpu) {
      const auto i = static_cast<std::size_t>(r);
      const index_t all = travel.leaving(r);
      packed_rows[i] = gpu.scratch<T>(all * width), packed_ids[i] = gpu.scratch<i32>(all * k);
      packed_weights[i] = gpu.scratch<f32>(all * k);
      pack_tokens(gpu, packed_rows[i].get(), packed_ids[i].get(), packed_weights[i].get(), travel.travellers(r),
                  static_cast<const T*>(x.storage().data(r)), home_ids.storage().data(r),
                  home_weights.storage().data(r), width, k);
      std::vector<i32> begins;
      for (index_t p = 0; p <= group; ++p) begins.push_back(static_cast<i32>(travel.arrival(r, p)));
      gpu.upload(arrived.storage().data(r), begins.data(), static_cast<index_t>(begins.size() * sizeof(i32)));
    });
    const auto go = [&](const auto& packed, auto& there, index_t bytes) {
      Ends ends{{}, {}};
      std::vector<Move> moves;
      for (index_t r = 0; r < ranks; ++r) {
        ends.from.push_back(reinterpret_cast<const std::byte*>(packed[static_cast<std::size_t>(r)].get()));
        ends.to.push_back(reinterpret_cast<std::byte*>(there.storage().data(r)));
        for (index_t p = 0; p < group; ++p) {
          const index_t to = places.member(r, p);
          moves.push_back(
              {r, to, run(travel.arrival(to, places.place(r)), travel.parcel(r, p), travel.count(r, p), bytes)});
        }
      }
      self().exchange().move(moves, ends);
    };
    go(packed_rows, rows, width * size_of<T>);
    go(packed_ids, ids, k * size_of<i32>);
    go(packed_weights, weights, k * size_of<f32>);
    count(travel, size_of<i32>, [&](index_t from, index_t to) {
      return travel.count(from, places.place(to)) * (width * size_of<T> + k * (size_of<i32> + size_of<f32>));
    });
  }

  /// What comes home is added in the order of the devices, the own part in its place; zeros where a token has no
  /// expert.
  template <AnyTensor Y, AnyTensor Sums, AnyTensor Arrived, AnyTensor HomeIds>
  void return_tokens(Y& y, const Sums& sums, const Arrived&, const HomeIds& home_ids, const ExpertPlaces& places) {
    constexpr index_t ranks = Y::mesh::size;
    const index_t width = y.local_extent(2), group = places.group();
    const Travel travel = list(home_ids, places);
    std::vector<std::shared_ptr<f32>> returned(static_cast<std::size_t>(ranks));
    Ends ends{{}, {}};
    std::vector<Move> moves;
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      returned[static_cast<std::size_t>(r)] = gpu.scratch<f32>(travel.leaving(r) * width);
    });
    for (index_t r = 0; r < ranks; ++r) {
      ends.from.push_back(reinterpret_cast<const std::byte*>(sums.storage().data(r)));
      ends.to.push_back(reinterpret_cast<std::byte*>(returned[static_cast<std::size_t>(r)].get()));
      for (index_t p = 0; p < group; ++p) {
        const index_t from = places.member(r, p);
        moves.push_back({from, r,
                         run(travel.parcel(r, p), travel.arrival(from, places.place(r)), travel.count(r, p),
                             width * size_of<f32>)});
      }
    }
    self().exchange().move(moves, ends);
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      add_returned(gpu, y.storage().data(r), static_cast<const f32*>(returned[static_cast<std::size_t>(r)].get()),
                   travel.travellers(r), width);
    });
    count(travel, 0,
          [&](index_t from, index_t to) { return travel.count(to, places.place(from)) * width * size_of<f32>; });
  }

  /// dispatch to the experts of a device; `arrived` says how many tokens there are of those that there is room for.
  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids, AnyTensor... Arrived>
  void dispatch_here(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids,
                     const ExpertPlaces& places, const Arrived&... arrived) {
    self().template each_rank<Rows>([&](index_t r, Gpu& gpu) {
      cuda::dispatch(gpu, rows.storage().data(r), positions.storage().data(r), offsets.storage().data(r),
                     static_cast<const typename X::value_type*>(x.storage().data(r)),
                     Choices{ids.storage().data(r), ids.local_extent(0) * ids.local_extent(1), ids.local_extent(2),
                             arrived_at(r, arrived...)},
                     {places.first(r), places.own(), places.experts}, x.local_extent(2), rows.local_extent(0));
    });
  }

  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights, AnyTensor Arrived>
  void combine_here(Y& y, const Rows& rows, const Positions& positions, const Weights& weights,
                    const Arrived& arrived) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      cuda::combine(
          gpu, y.storage().data(r), rows.storage().data(r), positions.storage().data(r), weights.storage().data(r),
          Choices{nullptr, y.local_extent(0) * y.local_extent(1), weights.local_extent(2), arrived_at(r, arrived)},
          y.local_extent(2));
    });
  }

 private:
  template <class T>
  static constexpr auto size_of = static_cast<index_t>(sizeof(T));

  /// Who goes where, of all devices: lists on the GPUs of those that live here, and the numbers of all.
  struct Travel {
    const ExpertPlaces& places;
    index_t tokens;  // of a device
    std::vector<std::shared_ptr<i32>> lists;
    std::vector<i32> counts;  // [device, place]

    index_t count(index_t from, index_t place) const {
      return counts[static_cast<std::size_t>(from * places.group() + place)];
    }
    Travellers travellers(index_t r) const {
      i32* const list = lists[static_cast<std::size_t>(r)].get();
      return {list + places.group(), list, places.group(), tokens};
    }
    /// Where what goes to a place begins, of all that leaves.
    index_t parcel(index_t from, index_t place) const {
      index_t begin = 0;
      for (index_t p = 0; p < place; ++p) begin += count(from, p);
      return begin;
    }
    index_t leaving(index_t from) const { return parcel(from, places.group()); }
    /// Where what comes from a place of the group begins, of all that arrives.
    index_t arrival(index_t to, index_t place) const {
      index_t begin = 0;
      for (index_t p = 0; p < place; ++p) begin += count(places.member(to, p), places.place(to));
      return begin;
    }
  };

  Self& self() { return static_cast<Self&>(*this); }

  /// The numbers of all devices come to each of them, and from one GPU to the host.
  template <AnyTensor Ids>
  Travel list(const Ids& ids, const ExpertPlaces& places) {
    constexpr index_t ranks = Ids::mesh::size;
    const index_t group = places.group(), tokens = ids.local_extent(0) * ids.local_extent(1);
    self().needs_host();
    Travel travel{places, tokens, std::vector<std::shared_ptr<i32>>(static_cast<std::size_t>(ranks)),
                  std::vector<i32>(static_cast<std::size_t>(ranks * group))};
    std::vector<std::shared_ptr<i32>> all(static_cast<std::size_t>(ranks));
    index_t here = -1;
    self().template each_rank<Ids>([&](index_t r, Gpu& gpu) {
      travel.lists[static_cast<std::size_t>(r)] = gpu.scratch<i32>(group * (tokens + 1));
      list_travellers(gpu, travel.travellers(r), {ids.storage().data(r), tokens, ids.local_extent(2)}, places, r);
      if (here < 0 || self().places().processes > 1) all[static_cast<std::size_t>(r)] = gpu.scratch<i32>(ranks * group);
      if (here < 0) here = r;
    });
    Ends ends{{}, {}};
    std::vector<Move> moves;
    for (index_t r = 0; r < ranks; ++r) {
      ends.from.push_back(reinterpret_cast<const std::byte*>(travel.lists[static_cast<std::size_t>(r)].get()));
      ends.to.push_back(reinterpret_cast<std::byte*>(all[static_cast<std::size_t>(r)].get()));
      for (index_t from = 0; from < ranks; ++from)
        if (self().places().processes > 1 || r == here)
          moves.push_back({from, r, run(from * group, 0, group, size_of<i32>)});
    }
    self().exchange().move(moves, ends);
    if (here >= 0)
      self()
          .gpu_of(here, ranks)
          .download(travel.counts.data(), all[static_cast<std::size_t>(here)].get(), ranks * group * size_of<i32>);
    return travel;
  }

  /// `count` things of `bytes` bytes, numbers to … of one memory and from … of another.
  static StridedBox run(index_t to, index_t from, index_t count, index_t bytes) {
    StridedBox box;
    box.to_offset = to * bytes, box.from_offset = from * bytes, box.run = count * bytes;
    return box;
  }

  /// Counts `each` bytes and bytes(from, to) for every device of a group from every other.
  template <class F>
  void count(const Travel& travel, index_t each, F bytes) {
    const index_t ranks = static_cast<index_t>(travel.lists.size()), group = travel.places.group();
    Received received(travel.lists.size());
    for (index_t r = 0; r < ranks; ++r)
      for (index_t p = 0; p < group; ++p)
        if (const index_t peer = travel.places.member(r, p); peer != r)
          received[static_cast<std::size_t>(r)] += each + bytes(peer, r);
    if (group > 1) self().count_collective(received);
  }

  static const i32* arrived_at(index_t) { return nullptr; }
  template <AnyTensor Arrived>
  static const i32* arrived_at(index_t r, const Arrived& arrived) {
    return arrived.storage().data(r) + (arrived.local_extent(0) - 1);
  }
};

}  // namespace tess::cuda
