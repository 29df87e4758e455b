// How a lookup by index walks through ids, table and result; also its transpose, scatter_add.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "strided.hpp"

namespace tess::local {

/// How the dimensions of the dense array (result of a lookup, or updates) walk through the ids and the table. The table's
/// row is `id · row_stride` further on, for ids in [first, first + rows).
struct LookupWalk {
  int rank = 0;
  Ranks extent{}, ids{}, table{};
  index_t row_stride = 0, first = 0, rows = 0;

  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[static_cast<std::size_t>(d)];
    return n;
  }
  constexpr bool holds(index_t id) const { return id >= first && id < first + rows; }
};

/// Dimensions [A..., I..., B...] of the dense array against a table [A..., V, B...]; with `beside`, where ids have the
/// table's rank, I is the one dimension in V's place.
template <class Rule, class E>
LookupWalk lookup_walk(const E& extent, const Window& table, const Window& ids, int ids_rank) {
  constexpr int along = Rule::along;
  LookupWalk w;
  const int looked_up = Rule::beside ? 1 : ids_rank;
  w.rank = table.rank - 1 + looked_up;
  w.row_stride = table.stride[static_cast<std::size_t>(along)];
  w.rows = table.extent[static_cast<std::size_t>(along)];
  for (int o = 0; o < w.rank; ++o) {
    const auto at = static_cast<std::size_t>(o);
    const bool is_id = o >= along && o < along + looked_up;
    const int t = o < along ? o : o - looked_up + 1;
    w.extent[at] = extent[at];
    w.table[at] = is_id ? 0 : table.stride[static_cast<std::size_t>(t)];
    w.ids[at] = Rule::beside ? ids.stride[at] : is_id ? ids.stride[static_cast<std::size_t>(o - along)] : 0;
  }
  return w;
}

}  // namespace tess::local
