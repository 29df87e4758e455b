// Verbs of Cuda: contract, any dimensions summed; gather_rows and scatter_add, lookups by index.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base.hpp"
#include "contract.hpp"
#include "lookup.hpp"
#include "map.hpp"

namespace tess::cuda {

/// `Self` is the device: it has `each_rank`.
template <class Self>
class LookupVerbs {
 public:
  /// Rule: the labels `lhs`, `rhs`, `out`, and `verdict`, which says how much of its shards a device reads.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor W>
  void contract(Rule, Y& y, const X& x, const W& w) {
    using T = std::conditional_t<std::is_same_v<typename Y::value_type, bf16>, f32, typename Y::value_type>;
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      const Window a = window(x, Rule::verdict.lhs, r), b = window(w, Rule::verdict.rhs, r),
                   c = window(y, Y::sharding, r);
      cuda::contract<T>(gpu, y.storage().data(r), of(x, r) + a.begin, of(w, r) + b.begin,
                        contraction_walks<Rule>(a, b, c));
    });
  }

  /// Rule: `along`, the dimension of the table that ids count; `beside`, whether ids go along the table's other
  /// dimensions; `verdict`.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor Ids>
  void gather_rows(Rule, Y& y, const X& table, const Ids& ids) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      const Window t = window(table, Rule::verdict.table, r), i = window(ids, Rule::verdict.ids, r);
      LookupWalk walk = lookup_walk<Rule>(y.local_extents().array(), t, i, Ids::rank);
      walk.first = shard_index<typename X::mesh>(Rule::verdict.table[Rule::along], r) * walk.rows;
      cuda::gather_rows(gpu, y.storage().data(r), of(table, r) + t.begin, of(ids, r) + i.begin, walk, of(ids, r),
                        ids.local_extents().size(), table.extent(Rule::along));
    });
  }

  template <class Rule, AnyTensor Y, AnyTensor Ids, AnyTensor U>
  void scatter_add(Rule, Y& y, const Ids& ids, const U& updates) {
    self().template each_rank<Y>([&](index_t r, Gpu& gpu) {
      const Window t = window(y, Y::sharding, r), i = window(ids, Rule::verdict.ids, r),
                   u = window(updates, Rule::verdict.table, r);
      LookupWalk walk = lookup_walk<Rule>(u.extent, t, i, Ids::rank);
      walk.first = shard_index<typename Y::mesh>(Y::sharding[Rule::along], r) * walk.rows;
      map(gpu, Value<typename Y::value_type>{}, y.storage().data(r), y.local_extents().size());
      scatter_rows(gpu, y.storage().data(r), of(updates, r) + u.begin, of(ids, r) + i.begin, walk, u.stride,
                   Rule::along, Rule::beside ? 1 : Ids::rank, of(ids, r), ids.local_extents().size(),
                   y.extent(Rule::along));
    });
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }
  template <AnyTensor X>
  static const typename X::value_type* of(const X& x, index_t rank) {
    return x.storage().data(rank);
  }
};

}  // namespace tess::cuda
