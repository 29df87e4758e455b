// Shape: the extents of a tensor as a type, each a number or `dyn`; Extents: the same with the numbers filled in.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <concepts>
#include <utility>

#include "../core/types.hpp"

namespace tess {

template <index_t... E>
struct Shape {
  static_assert(((E >= 0 || E == dyn) && ...), "[shape] an extent is a number >= 0 or tess::dyn");
  static constexpr int rank = sizeof...(E);
  static constexpr std::array<index_t, static_cast<std::size_t>(rank)> extents{E...};
  static constexpr int dynamic_count = (int(E == dyn) + ... + 0);
  static constexpr bool is_static = dynamic_count == 0;
  static constexpr index_t size = is_static ? (E * ... * index_t{1}) : dyn;  // elements
};

namespace detail {
template <class>
inline constexpr bool is_shape = false;
template <index_t... E>
inline constexpr bool is_shape<Shape<E...>> = true;
template <class S>
constexpr index_t static_extent(int d) {
  return S::extents[static_cast<std::size_t>(d)];
}
}  // namespace detail
template <class S>
concept AnyShape = detail::is_shape<S>;

/// All extents of a value of shape S at run time. A static extent costs no thought: it is filled in from the type.
template <AnyShape S>
class Extents {
 public:
  static constexpr int rank = S::rank;

  /// Static shapes, and dynamic ones before their sizes are known (dyn extents are 0).
  constexpr Extents() {
    for (int d = 0; d < rank; ++d) at(d) = detail::static_extent<S>(d) == dyn ? 0 : detail::static_extent<S>(d);
  }

  /// The dyn extents in order, e.g. `Extents<Shape<dyn, 6144>>{rows}`.
  template <std::convertible_to<index_t>... N>
  requires(sizeof...(N) == static_cast<std::size_t>(S::dynamic_count) &&
           sizeof...(N) > 0) constexpr explicit Extents(N... sizes)
      : Extents() {
    const index_t given[] = {static_cast<index_t>(sizes)...};
    int next = 0;
    for (int d = 0; d < rank; ++d)
      if (detail::static_extent<S>(d) == dyn) at(d) = given[next++];
  }

  /// All extents, static ones included; `agrees` tells whether the static ones match.
  static constexpr Extents from(const std::array<index_t, static_cast<std::size_t>(rank)>& all) {
    Extents e;
    for (int d = 0; d < rank; ++d)
      if (detail::static_extent<S>(d) == dyn) e.at(d) = all[static_cast<std::size_t>(d)];
    return e;
  }
  static constexpr bool agrees(const std::array<index_t, static_cast<std::size_t>(rank)>& all) {
    for (int d = 0; d < rank; ++d)
      if (detail::static_extent<S>(d) != dyn && detail::static_extent<S>(d) != all[static_cast<std::size_t>(d)])
        return false;
    return true;
  }

  constexpr index_t operator[](int d) const { return all_[static_cast<std::size_t>(d)]; }
  constexpr const std::array<index_t, static_cast<std::size_t>(rank)>& array() const { return all_; }
  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= (*this)[d];
    return n;
  }

 private:
  constexpr index_t& at(int d) { return all_[static_cast<std::size_t>(d)]; }
  std::array<index_t, static_cast<std::size_t>(rank)> all_{};
};

}  // namespace tess
