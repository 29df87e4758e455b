// All specs of a rank over the axes of a mesh: every way to put axes on dimensions, in every order, or nowhere.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include <tess/sharding/spec_value.hpp>

namespace support {

namespace detail {
inline void extend(std::vector<tess::SpecValue>& all, const tess::SpecValue& s, int axes) {
  all.push_back(s);
  for (int d = s.rank - 1; d >= 0; --d) {  // behind the last entry: each spec is reached once
    for (int a = 0; a < axes; ++a) {
      if (s.used() >> a & 1u) continue;
      tess::SpecValue t = s;
      t[d].push(a);
      extend(all, t, axes);
    }
    if (s[d].count > 0) break;
  }
}
}  // namespace detail

/// Without pending axes: on three axes 49 specs of rank 2.
inline std::vector<tess::SpecValue> all_specs(int axes, int rank) {
  std::vector<tess::SpecValue> all;
  tess::SpecValue none;
  none.rank = rank;
  detail::extend(all, none, axes);
  return all;
}

/// And with every set of the axes that are left pending.
inline std::vector<tess::SpecValue> all_pending_specs(int axes, int rank) {
  std::vector<tess::SpecValue> all;
  for (const tess::SpecValue& s : all_specs(axes, rank))
    for (unsigned mask = 0; mask < 1u << axes; ++mask)
      if ((mask & s.used()) == 0) all.push_back(s), all.back().pend(mask);
  return all;
}

}  // namespace support
