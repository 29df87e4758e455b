// join: where two operands meet in one dimension. The finer sharding wins, because taking one's own slice is free.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../spec_value.hpp"

namespace tess::rules {

/// Does every shard by `fine` lie inside the shard by `coarse` of the same device? Axes of size 1 do not matter.
constexpr bool refines(const MeshValue& m, const DimAxes& fine, const DimAxes& coarse) {
  const DimAxes f = fine.without(m.trivial()), c = coarse.without(m.trivial());
  if (f.count < c.count) return false;
  for (int i = 0; i < c.count; ++i)
    if (f[i] != c[i]) return false;
  return true;
}

struct Joined {
  bool exists = false;
  DimAxes axes{};
};

/// The coarsest sharding that both operands can be sliced to: x of ('x') and ('x', 'y') is ('x', 'y'), of ('x') and ('y')
/// there is none. Of two that differ by axes of size 1, the one that names more.
constexpr Joined join(const MeshValue& m, const DimAxes& a, const DimAxes& b) {
  const bool a_wins = refines(m, a, b), b_wins = refines(m, b, a);
  if (a_wins && b_wins) return {true, a.count >= b.count ? a : b};
  return {a_wins || b_wins, a_wins ? a : b};
}

}  // namespace tess::rules
