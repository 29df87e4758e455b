// ShapeValue: the extents of a tensor as a plain value, for rules that are functions of values.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../tensor/shape.hpp"
#include "../spec_value.hpp"

namespace tess::rules {

/// Extents; `dyn` where only run time tells.
struct ShapeValue {
  int rank = 0;
  std::array<index_t, static_cast<std::size_t>(max_rank)> extents{};

  constexpr index_t operator[](int d) const { return extents[static_cast<std::size_t>(d)]; }
  constexpr index_t& operator[](int d) { return extents[static_cast<std::size_t>(d)]; }
  constexpr void push(index_t n) { (*this)[rank++] = n; }
  constexpr bool operator==(const ShapeValue&) const = default;
  constexpr bool is_static() const {
    for (int d = 0; d < rank; ++d)
      if ((*this)[d] == dyn) return false;
    return true;
  }
  /// Elements, of a static shape.
  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= (*this)[d];
    return n;
  }
};

template <AnyShape S>
inline constexpr ShapeValue shape_value = [] {
  static_assert(S::rank <= max_rank, "[shape] a tensor has at most tess::max_rank dimensions");
  ShapeValue v;
  for (int d = 0; d < S::rank; ++d) v.push(S::extents[static_cast<std::size_t>(d)]);
  return v;
}();

/// The same at run time, nothing dyn.
template <AnyShape S>
constexpr ShapeValue shape_value_of(const Extents<S>& e) {
  ShapeValue v;
  for (int d = 0; d < S::rank; ++d) v.push(e[d]);
  return v;
}

}  // namespace tess::rules
