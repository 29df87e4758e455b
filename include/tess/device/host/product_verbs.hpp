// Verbs of Host: contract, any dimensions summed; matmul_heads, a matrix a head; gather_rows and scatter_add, lookups.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "contract.hpp"
#include "gemm.hpp"
#include "lookup.hpp"
#include "pack.hpp"

namespace tess::host {

/// `Self` is the device: it has `pool()` and `activations`.
template <class Self>
class ProductVerbs {
 public:
  /// Rule: the labels `lhs`, `rhs`, `out`, and `verdict`, which says how much of its shards a device reads.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor W>
  void contract(Rule, Y& y, const X& x, const W& w) {
    using T = std::conditional_t<std::is_same_v<typename Y::value_type, bf16>, f32, typename Y::value_type>;
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      const Window a = window(x, Rule::verdict.lhs, r), b = window(w, Rule::verdict.rhs, r),
                   c = window(y, Y::sharding, r);
      host::contract<T>(pool(), y.storage().data(r), x.storage().data(r) + a.begin, w.storage().data(r) + b.begin,
                        contraction_walks<Rule>(a, b, c));
    }
  }

  /// One product a head, all spread over the threads together; heads lie side by side in x and y, and stay there.
  template <AnyTensor Y, AnyTensor X, AnyTensor W>
  void matmul_heads(Y& y, const X& x, const W& w) {
    using T = typename W::value_type;
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      if constexpr (is_packed<T>) multiply_heads(y, r, x, w.storage().matrices(r));
      else multiply_heads(y, r, x, packed_heads(w, r));
    }
  }

  /// Rule: `along`, the dimension of the table that ids count; `beside`, whether ids go along the table's other
  /// dimensions; `verdict`.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor Ids>
  void gather_rows(Rule, Y& y, const X& table, const Ids& ids) {
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      const Window t = window(table, Rule::verdict.table, r), i = window(ids, Rule::verdict.ids, r);
      check_ids(ids.storage().data(r), ids.local_extents().size(), table.extent(Rule::along));
      LookupWalk walk = lookup_walk<Rule>(y.local_extents().array(), t, i, Ids::rank);
      walk.first = shard_index<typename X::mesh>(Rule::verdict.table[Rule::along], r) * walk.rows;
      host::gather_rows(pool(), y.storage().data(r), table.storage().data(r) + t.begin, ids.storage().data(r) + i.begin,
                        walk);
    }
  }

  template <class Rule, AnyTensor Y, AnyTensor Ids, AnyTensor U>
  void scatter_add(Rule, Y& y, const Ids& ids, const U& updates) {
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      const Window t = window(y, Y::sharding, r), i = window(ids, Rule::verdict.ids, r),
                   u = window(updates, Rule::verdict.table, r);
      check_ids(ids.storage().data(r), ids.local_extents().size(), y.extent(Rule::along));
      LookupWalk walk = lookup_walk<Rule>(u.extent, t, i, Ids::rank);
      walk.first = shard_index<typename Y::mesh>(Y::sharding[Rule::along], r) * walk.rows;
      std::fill_n(y.storage().data(r), y.local_extents().size(), typename Y::value_type{});
      host::scatter_rows(y.storage().data(r), updates.storage().data(r) + u.begin, ids.storage().data(r) + i.begin,
                         walk, u.stride);
    }
  }

 private:
  ThreadPool& pool() { return static_cast<Self*>(this)->pool(); }

  template <AnyTensor Y, AnyTensor X, class Matrix>
  void multiply_heads(Y& y, index_t r, const X& x, const std::vector<Matrix>& w) {
    using Problem = host::Problem<typename X::value_type, Matrix, typename Y::value_type>;
    const index_t heads = x.local_extent(2), k = x.local_extent(3), n = y.local_extent(3);
    std::vector<Problem> problems;
    for (index_t h = 0; h < heads; ++h)
      problems.push_back({.x = x.storage().data(r) + h * k,
                          .ldx = heads * k,
                          .w = &w[static_cast<std::size_t>(h)],
                          .y = y.storage().data(r) + h * n,
                          .ldy = heads * n,
                          .rows = x.local_extent(0) * x.local_extent(1)});
    host::matmul(pool(), std::span<const Problem>(problems), static_cast<Self*>(this)->activations);
  }
  template <AnyTensor W>
  auto packed_heads(const W& w, index_t r) {
    using T = typename W::value_type;
    const index_t k = w.local_extent(1), n = w.local_extent(2);
    std::vector<Packed<T>> matrices;
    for (index_t h = 0; h < w.local_extent(0); ++h)
      matrices.push_back(host::pack<T>(pool(),
                                       Source<T>{reinterpret_cast<const std::byte*>(w.storage().data(r) + h * k * n),
                                                 n * static_cast<index_t>(sizeof(T))},
                                       k, n));
    return matrices;
  }
};

}  // namespace tess::host
