// The verbs of experts that lie over mesh axes on Dry: what can travel at most, since values decide what does.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../comm/cost.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "../expert_places.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class ExpertVerbs {
 public:
  /// The busiest device has an expert that every token of its group chose: from each of the others a number of tokens, i32,
  /// and for each token its row, its k choices and their weights.
  template <AnyTensor Rows, AnyTensor Ids, AnyTensor Weights, AnyTensor Arrived, AnyTensor X, AnyTensor HomeIds,
            AnyTensor HomeWeights>
  constexpr void send_tokens(Rows&, Ids&, Weights&, Arrived&, const X& x, const HomeIds& ids, const HomeWeights&,
                             const ExpertPlaces& places) {
    const index_t tokens = x.local_extent(0) * x.local_extent(1);
    const index_t row = x.local_extent(2) * static_cast<index_t>(sizeof(typename X::value_type));
    const index_t choices = ids.local_extent(2) * static_cast<index_t>(sizeof(i32) + sizeof(f32));
    exchange(places, (places.group() - 1) * (static_cast<index_t>(sizeof(i32)) + tokens * (row + choices)));
  }
  /// Every token of the busiest device has its k experts on k others, or an expert on each of them.
  template <AnyTensor Y, AnyTensor Sums, AnyTensor Arrived, AnyTensor HomeIds>
  constexpr void return_tokens(Y& y, const Sums&, const Arrived&, const HomeIds& ids, const ExpertPlaces& places) {
    const index_t k = ids.local_extent(2), others = places.group() - 1;
    exchange(places, (k < others ? k : others) * y.local_extents().size() * static_cast<index_t>(sizeof(f32)));
  }
  /// As many rows as there is room for: every token with as many choices here as it can have.
  template <AnyTensor Rows, AnyTensor Positions, AnyTensor Offsets, AnyTensor X, AnyTensor Ids, AnyTensor... Arrived>
  constexpr void dispatch_here(Rows& rows, Positions& positions, Offsets& offsets, const X& x, const Ids& ids,
                               const ExpertPlaces&, const Arrived&...) {
    self().dispatch(rows, positions, offsets, x, ids);
  }
  template <AnyTensor Y, AnyTensor Rows, AnyTensor Positions, AnyTensor Weights, AnyTensor Arrived>
  constexpr void combine_here(Y& y, const Rows& rows, const Positions& positions, const Weights& weights,
                              const Arrived&) {
    self().combine(y, rows, positions, weights);
  }

 private:
  constexpr Device& self() { return static_cast<Device&>(*this); }

  constexpr void exchange(const ExpertPlaces& places, index_t bytes) {
    if (places.group() == 1) return;
    unsigned axes = 0;
    for (int a = 0; a < places.mesh.rank; ++a)
      if (places.sent >> a & 1u && places.mesh.size(a) > 1) axes |= 1u << a;
    self().transfer({.kind = Collective::all_to_all,
                     .axes = axes,
                     .devices = places.group(),
                     .between_hosts = places.between_hosts(),
                     .count = 1,
                     .messages = places.group() - 1,
                     .bytes = bytes});
  }
};

}  // namespace tess::dry
