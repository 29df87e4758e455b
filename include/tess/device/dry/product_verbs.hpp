// The verbs of einsum, of products by head and of lookups on Dry: what each costs one device.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../comm/cost.hpp"
#include "../../sharding/shard_bytes.hpp"
#include "../../sharding/sharded_tensor.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class ProductVerbs {
 public:
  /// One multiply-add, two FLOPs, for each tuple of labels: of the part of its shards that a device reads.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor W>
  constexpr void contract(Rule, Y& y, const X& x, const W& w) {
    using M = typename X::mesh;
    index_t terms = 1;
    for (int d = 0; d < X::rank; ++d) terms *= x.extent(d) / parts<M>(Rule::verdict.lhs[d]);
    for (int d = 0; d < W::rank; ++d)
      if (Rule::lhs.find(Rule::rhs[d]) < 0) terms *= w.extent(d) / parts<M>(Rule::verdict.rhs[d]);
    self().work(
        {.verb = "contract", .flops = 2 * terms, .activation_bytes = shard_bytes(y) + shard_bytes(x) + shard_bytes(w)});
  }
  template <AnyTensor Y, AnyTensor X, AnyTensor W>
  constexpr void matmul_heads(Y& y, const X& x, const W& w) {
    self().work({.verb = "matmul_heads",
                 .flops = 2 * y.local_extents().size() * w.local_extent(1),
                 .weight_bytes = shard_bytes(w),
                 .activation_bytes = shard_bytes(y) + shard_bytes(x)},
                w);
  }
  /// A lookup reads as much of the table as it writes.
  template <class Rule, AnyTensor Y, AnyTensor X, AnyTensor Ids>
  constexpr void gather_rows(Rule, Y& y, const X&, const Ids& ids) {
    self().work({.verb = "gather_rows", .activation_bytes = 2 * shard_bytes(y) + shard_bytes(ids)});
  }
  template <class Rule, AnyTensor Y, AnyTensor Ids, AnyTensor U>
  constexpr void scatter_add(Rule, Y& y, const Ids& ids, const U& updates) {
    self().work(
        {.verb = "scatter_add", .activation_bytes = shard_bytes(y) + shard_bytes(ids) + 2 * shard_bytes(updates)});
  }

 private:
  constexpr Device& self() { return static_cast<Device&>(*this); }
};

}  // namespace tess::dry
