// StridedCopy: elements taken from one array and put into another, at regular steps in every dimension.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "../core/types.hpp"

namespace tess {

/// Element (i0, i1, ...), each below its count, goes from offset from + Σ i · from_step to offset to + Σ i · to_step.
/// Steps may be negative (reversed), or 0 (repeated).
struct StridedCopy {
  struct Side {
    index_t count = 1, from_step = 0, to_step = 0;
  };
  static constexpr int max_sides = 16;

  int rank = 0;
  std::array<Side, static_cast<std::size_t>(max_sides)> side{};  // the major one first
  index_t from = 0, to = 0;

  constexpr const Side& operator[](int d) const { return side[static_cast<std::size_t>(d)]; }
  constexpr void push(index_t count, index_t from_step, index_t to_step) {
    side[static_cast<std::size_t>(rank++)] = {count, from_step, to_step};
  }
  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= (*this)[d].count > 0 ? (*this)[d].count : 0;
    return n;
  }
};

/// The same elements with as few sides as possible: sides of one element vanish, and two that follow one another in
/// both arrays become one.
constexpr StridedCopy simplified(const StridedCopy& b) {
  StridedCopy s;
  s.from = b.from, s.to = b.to;
  for (int d = 0; d < b.rank; ++d) {
    if (b[d].count == 1) continue;
    if (s.rank > 0) {
      StridedCopy::Side& last = s.side[static_cast<std::size_t>(s.rank - 1)];
      if (last.from_step == b[d].count * b[d].from_step && last.to_step == b[d].count * b[d].to_step) {
        last = {last.count * b[d].count, b[d].from_step, b[d].to_step};
        continue;
      }
    }
    s.push(b[d].count, b[d].from_step, b[d].to_step);
  }
  if (s.rank == 0) s.push(1, 1, 1);
  return s;
}

}  // namespace tess
