// Layout: which mesh axes shard which dimension, in three words; what the planner searches over.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/spec_value.hpp"

namespace tess::detail {

/// A spec without its marks. Compilers copy and compare these by the thousand, so there is nothing to loop over.
struct Layout {
  unsigned long long digits = 0;  // four bits an axis, dimension after dimension, the major axis lowest
  unsigned counts = 0;            // four bits a dimension: how many axes shard it
  unsigned partial = 0;           // one bit an axis

  constexpr bool operator==(const Layout&) const = default;
  constexpr int count(int d) const { return static_cast<int>(counts >> 4 * d & 15u); }
  /// Axes on the dimensions before d: a product by 0x1111… sums digits.
  constexpr int start(int d) const { return static_cast<int>((counts * 0x11111110u) >> 4 * d & 15u); }
  /// Where the axes of dimension d end, in bits.
  constexpr int end(int d) const { return 4 * static_cast<int>((counts * 0x11111111u) >> 4 * d & 15u); }
  /// The axes of dimension d, the major one lowest.
  constexpr unsigned long long list(int d) const { return digits >> 4 * start(d) & ((1ull << 4 * count(d)) - 1); }
  constexpr int axis(int d, int i) const { return static_cast<int>(digits >> 4 * (start(d) + i) & 15u); }

  /// With `n` axes behind those of dimension d; `list` has the major one lowest.
  constexpr Layout pushed(int d, unsigned long long list, int n) const {
    const int at = end(d);
    const unsigned long long below = (1ull << at) - 1;
    return {(digits & below) | list << at | (digits & ~below) << 4 * n, counts + (static_cast<unsigned>(n) << 4 * d),
            partial};
  }
  /// Without the last n axes of dimension d.
  constexpr Layout popped(int d, int n) const {
    const int at = end(d) - 4 * n;
    const unsigned long long below = (1ull << at) - 1;
    return {(digits & below) | (digits >> 4 * n & ~below), counts - (static_cast<unsigned>(n) << 4 * d), partial};
  }
  constexpr unsigned long long last(int d, int n) const { return list(d) >> 4 * (count(d) - n); }
};

constexpr Layout layout_of(const SpecValue& s) {
  Layout l;
  for (int d = 0; d < s.rank; ++d) l = l.pushed(d, s[d].digits, s[d].count);
  l.partial = s.partial;
  return l;
}
constexpr DimAxes axes_of_list(unsigned long long list, int n) {
  DimAxes a;
  a.count = n;
  a.digits = list;
  return a;
}
constexpr SpecValue spec_of(const Layout& l, int rank, Reduction kind) {
  SpecValue s;
  s.rank = rank;
  for (int d = 0; d < rank; ++d) s[d] = axes_of_list(l.list(d), l.count(d));
  s.pend(l.partial, kind);
  return s;
}

}  // namespace tess::detail
