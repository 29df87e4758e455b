// The rules of lookups by index: take, take_along_axis, and scatter_add, the transpose of take.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "contraction.hpp"

namespace tess::rules {

enum class GatherFault {
  none,
  ids_pending,          // an index is no linear quantity
  pending_is_no_sum,    // zeros for rows that a device lacks are neutral in a sum, not in max or min
  axis_shared,          // `axis` shards the ids and the table: a device holds other rows than its ids ask for
  sharded_differently,  // dimensions that go together
  rows_axis_used        // scatter_add: the axis that is to shard the rows shards an operand
};

struct GatherVerdict {
  GatherFault fault = GatherFault::none;
  int table_dim = -1, ids_dim = -1, axis = -1;
  SpecValue result{};
  SpecValue table{}, ids{};  // how the operands are read: as they lie, or their own slices
};

namespace detail {
/// Finishes a verdict: each real axis once in dimensions and pending axes together; of size 1 the first place keeps it.
constexpr GatherVerdict each_axis_once(const MeshValue& m, GatherVerdict v, unsigned pending, Reduction kind) {
  unsigned seen = 0;
  const auto shared = [&](unsigned twice) {
    v.fault = GatherFault::axis_shared, v.axis = lowest(twice);
    v.table_dim = dim_of(v.table, v.axis), v.ids_dim = dim_of(v.ids, v.axis);
    return v;
  };
  for (int d = 0; d < v.result.rank; ++d) {
    if (const unsigned twice = v.result[d].mask() & (seen | pending) & ~m.trivial()) return shared(twice);
    v.result[d] = v.result[d].without(seen);
    seen |= v.result[d].mask();
  }
  v.result.pend(pending & ~seen, kind);
  v.result.reduced &= ~(seen | v.result.partial);
  return v;
}
}  // namespace detail

/// ids [I...] along dimension `along` of table [A..., V, B...] -> [A..., I..., B...]. Ids go where they are sharded, the
/// table's other dimensions stay. An axis on V leaves a pending sum: of each row one device has the elements, the others
/// add zeros. A pending sum of tables is one of rows.
constexpr GatherVerdict take(const MeshValue& m, const SpecValue& table, int along, const SpecValue& ids) {
  GatherVerdict v;
  v.table = table, v.ids = ids;
  const unsigned real = ~m.trivial();
  if (ids.partial & real) return v.fault = GatherFault::ids_pending, v;
  if (table.partial & real && table.kind != Reduction::sum && table[along].mask() & real)
    return v.fault = GatherFault::pending_is_no_sum, v;
  int o = 0;
  for (int d = 0; d < along; ++d) v.result[o++] = table[d];
  for (int d = 0; d < ids.rank; ++d) v.result[o++] = ids[d];
  for (int d = along + 1; d < table.rank; ++d) v.result[o++] = table[d];
  v.result.rank = o;
  v.result.reduced = table.reduced;
  const bool is_sum = !(table.partial & real);
  return detail::each_axis_once(m, v, table[along].mask() | table.partial, is_sum ? Reduction::sum : table.kind);
}

/// y[..., i, ...] = x[..., ids[..., i, ...], ...]: ids has x's rank, dimensions beside `along` go together and meet by
/// `join`. An axis on dimension `along` of x leaves a pending sum, as in `take`.
constexpr GatherVerdict take_along_axis(const MeshValue& m, const SpecValue& x, int along, const SpecValue& ids) {
  GatherVerdict v;
  v.table = x, v.ids = ids;
  const unsigned real = ~m.trivial();
  if (ids.partial & real) return v.fault = GatherFault::ids_pending, v;
  if (x.partial & real && x.kind != Reduction::sum && x[along].mask() & real)
    return v.fault = GatherFault::pending_is_no_sum, v;
  v.result = ids;
  v.result.reduced = x.reduced;
  for (int d = 0; d < x.rank; ++d) {
    if (d == along) continue;
    const Joined both = join(m, x[d], ids[d]);
    if (!both.exists) return v.fault = GatherFault::sharded_differently, v.table_dim = v.ids_dim = d, v;
    v.table[d] = v.ids[d] = v.result[d] = both.axes;
  }
  const bool is_sum = !(x.partial & real);
  return detail::each_axis_once(m, v, x[along].mask() | x.partial, is_sum ? Reduction::sum : x.kind);
}

/// ids [I...], updates [A..., I..., B...] -> [A..., V, B...] with updates added to the rows that the ids name, `along`
/// the dimension of V. `updates` stands in the verdict as `table`. Each device adds its own tokens, so their axes leave a
/// pending sum; the axes `rows` shard V for free, since every device keeps its own rows only.
constexpr GatherVerdict scatter_add(const MeshValue& m, const SpecValue& ids, const SpecValue& updates, int along,
                                    const DimAxes& rows) {
  GatherVerdict v;
  v.table = updates, v.ids = ids;
  const unsigned real = ~m.trivial();
  if (ids.partial & real) return v.fault = GatherFault::ids_pending, v;
  if (updates.partial & real && updates.kind != Reduction::sum) return v.fault = GatherFault::pending_is_no_sum, v;
  unsigned tokens = 0;
  for (int d = 0; d < ids.rank; ++d) {
    const Joined both = join(m, ids[d], updates[along + d]);
    if (!both.exists) {
      v.fault = GatherFault::sharded_differently, v.ids_dim = d, v.table_dim = along + d;
      return v;
    }
    v.ids[d] = v.table[along + d] = both.axes;
    tokens |= both.axes.mask();
  }
  if (const unsigned used = rows.mask() & (updates.used() | tokens) & real) {
    v.fault = GatherFault::rows_axis_used, v.axis = detail::lowest(used);
    v.table_dim = detail::dim_of(updates, v.axis), v.ids_dim = detail::dim_of(ids, v.axis);
    return v;
  }
  int o = 0;
  for (int d = 0; d < along; ++d) v.result[o++] = updates[d];
  v.result[o++] = rows;
  for (int d = along + ids.rank; d < updates.rank; ++d) v.result[o++] = updates[d];
  v.result.rank = o;
  return detail::each_axis_once(m, v, tokens | updates.partial, Reduction::sum);
}

}  // namespace tess::rules
