// Verbs of Host for experts that lie over mesh axes: tokens travel to their experts, and the results come home.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "../../sharding/sharded_tensor.hpp"
#include "../expert_places.hpp"
#include "exchange.hpp"
#include "expert_rows.hpp"

namespace tess::host {

/// `Self` is the device: it has `pool()`, and `count_collective(received)` with the bytes that each rank received. What is
/// done is in proportion to the tokens and rows that are there, not to the room for them.
template <class Self>
class ExpertVerbs {
 public:
  /// Every device takes from each device of its group the tokens with a choice among its own experts: rows, all k
  /// choices and their weights, device after device. arrived [P + 1]: where the tokens of each begin.
  template <AnyTensor Rows, AnyTensor Ids, AnyTensor Weights, AnyTensor Arrived, AnyTensor X, AnyTensor HomeIds,
            AnyTensor HomeWeights>
  void send_tokens(Rows& rows, Ids& ids, Weights& weights, Arrived& arrived, const X& x, const HomeIds& home_ids,
                   const HomeWeights& home_weights, const ExpertPlaces& places) {
    const index_t width = x.local_extent(2), k = home_ids.local_extent(2), group = places.group();
    const std::vector<Travels> lists = travels(home_ids, places);
    const index_t token_bytes = width * size_of<typename X::value_type> + k * (size_of<i32> + size_of<f32>);
    Received received(lists.size());
    pool().for_range(X::mesh::size, worth_a_thread(x.local_extents().size()), [&](index_t begin, index_t end) {
      for (index_t r = begin; r < end; ++r) {
        i32* at = arrived.storage().data(r);
        index_t token = 0;
        for (index_t p = 0; p < group; ++p) {
          const index_t peer = places.member(r, p);
          const std::vector<i32>& list = lists[static_cast<std::size_t>(peer)].to(places.place(r));
          at[p] = static_cast<i32>(token);
          for (const i32 t : list) {
            std::copy_n(x.storage().data(peer) + t * width, width, rows.storage().data(r) + token * width);
            std::copy_n(home_ids.storage().data(peer) + t * k, k, ids.storage().data(r) + token * k);
            std::copy_n(home_weights.storage().data(peer) + t * k, k, weights.storage().data(r) + token * k);
            ++token;
          }
          if (peer != r)
            received[static_cast<std::size_t>(r)] += size_of<i32> + static_cast<index_t>(list.size()) * token_bytes;
        }
        at[group] = static_cast<i32>(token);
      }
    });
    if (group > 1) self().count_collective(received);
  }

  /// What comes home is added in the order of the devices, the own part in its place; zeros where a token has no expert.
  template <AnyTensor Y, AnyTensor Sums, AnyTensor Arrived, AnyTensor HomeIds>
  void return_tokens(Y& y, const Sums& sums, const Arrived& arrived, const HomeIds& home_ids,
                     const ExpertPlaces& places) {
    const index_t width = y.local_extent(2), group = places.group();
    const std::vector<Travels> lists = travels(home_ids, places);
    Received received(lists.size());
    pool().for_range(Y::mesh::size, worth_a_thread(y.local_extents().size()), [&](index_t begin, index_t end) {
      for (index_t r = begin; r < end; ++r) {
        f32* out = y.storage().data(r);
        std::fill_n(out, y.local_extents().size(), 0.0f);
        for (index_t p = 0; p < group; ++p) {
          const index_t peer = places.member(r, p);
          const f32* in = sums.storage().data(peer) + arrived.storage().data(peer)[places.place(r)] * width;
          const std::vector<i32>& list = lists[static_cast<std::size_t>(r)].to(p);
          for (const i32 t : list) {
            for (index_t i = 0; i < width; ++i) out[t * width + i] += in[i];
            in += width;
          }
          if (peer != r)
            received[static_cast<std::size_t>(r)] += static_cast<index_t>(list.size()) * width * size_of<f32>;
        }
      }
    });
    if (group > 1) self().count_collective(received);
  }

  /// dispatch to the experts of a device; `arrived` says how many tokens there are of those that there is room for.
  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids, AnyTensor... Arrived>
  void dispatch_here(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids,
                     const ExpertPlaces& places, const Arrived&... arrived) {
    const index_t k = ids.local_extent(2), width = x.local_extent(2), room = rows.local_extent(0);
    for (index_t r = 0; r < Rows::mesh::size; ++r) {
      const index_t n = tokens_of(ids, r, arrived...) * k;
      i32* at = offsets.storage().data(r);
      const i32* row = positions.storage().data(r);
      number_rows(ids.storage().data(r), n, {places.first(r), places.own(), places.experts}, at,
                  positions.storage().data(r));
      if (at[places.own()] > room) fail("[dispatch] a token names one expert several times: ", room, " rows at most");
      each_token(n, width, [&](index_t i) {
        if (row[i] != no_expert)
          std::copy_n(x.storage().data(r) + i / k * width, width, rows.storage().data(r) + row[i] * width);
      });
    }
  }

  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights, AnyTensor Arrived>
  void combine_here(Y& y, const Rows& rows, const Positions& positions, const Weights& weights,
                    const Arrived& arrived) {
    const index_t k = weights.local_extent(2), width = y.local_extent(2);
    for (index_t r = 0; r < Y::mesh::size; ++r)
      each_token(tokens_of(weights, r, arrived), width, [&](index_t token) {
        sum_choices(rows.storage().data(r), positions.storage().data(r) + token * k,
                    weights.storage().data(r) + token * k, k, width, y.storage().data(r) + token * width);
      });
  }

 private:
  template <class T>
  static constexpr auto size_of = static_cast<index_t>(sizeof(T));

  /// Of one device: which of its tokens go to each place of its group, in order; to its own place too.
  class Travels {
   public:
    Travels() = default;
    explicit Travels(index_t group) : lists_(static_cast<std::size_t>(group)) {}
    const std::vector<i32>& to(index_t place) const { return lists_[static_cast<std::size_t>(place)]; }
    /// Once for a token, however many of its experts are there.
    void add(index_t place, index_t token) {
      std::vector<i32>& list = lists_[static_cast<std::size_t>(place)];
      if (list.empty() || list.back() != token) list.push_back(static_cast<i32>(token));
    }

   private:
    std::vector<std::vector<i32>> lists_;
  };

  template <AnyTensor Ids>
  std::vector<Travels> travels(const Ids& ids, const ExpertPlaces& places) {
    const index_t k = ids.local_extent(2), n = ids.local_extents().size(), own = places.own();
    std::vector<Travels> all(static_cast<std::size_t>(Ids::mesh::size));
    pool().for_range(Ids::mesh::size, worth_a_thread(n), [&](index_t begin, index_t end) {
      for (index_t r = begin; r < end; ++r) {
        Travels& from_here = all[static_cast<std::size_t>(r)] = Travels(places.group());
        std::vector<index_t> holder;  // of each run of experts
        for (index_t e = 0; e < places.experts; e += own) holder.push_back(places.holder(r, e));
        const i32* id = ids.storage().data(r);
        for (index_t i = 0; i < n; ++i) {
          check_expert(id[i], places.experts);
          if (id[i] == no_expert) continue;
          const index_t place = holder[static_cast<std::size_t>(id[i] / own)];
          if (place >= 0) from_here.add(place, i / k);
        }
      }
    });
    return all;
  }

  template <AnyTensor Routes>
  static index_t tokens_of(const Routes& routes, index_t) {
    return routes.local_extent(0) * routes.local_extent(1);
  }
  template <AnyTensor Routes, AnyTensor Arrived>
  static index_t tokens_of(const Routes&, index_t r, const Arrived& arrived) {
    return arrived.storage().data(r)[arrived.local_extent(0) - 1];
  }

  /// How many pieces of so many elements take some microseconds, what waking a thread costs.
  static constexpr index_t worth_a_thread(index_t elements) {
    return std::max<index_t>(1, 8192 / std::max<index_t>(1, elements));
  }

  Self& self() { return static_cast<Self&>(*this); }
  ThreadPool& pool() { return self().pool(); }

  /// f(i) for n rows of `width` elements, shared among threads.
  template <class F>
  void each_token(index_t n, index_t width, F f) {
    pool().for_range(n, worth_a_thread(width), [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) f(i);
    });
  }
};

}  // namespace tess::host
