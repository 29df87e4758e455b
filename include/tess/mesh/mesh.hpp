// Mesh: a grid of devices with named axes; device numbers are row-major, the first axis is the major one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "../core/meta.hpp"
#include "../core/types.hpp"

namespace tess {

/// One axis of a mesh. `Name` is a tag type: `struct data; struct model;` in the user's namespace.
template <class Name, index_t Size>
struct Axis {
  static_assert(Size > 0, "[mesh] a mesh axis holds at least one device");
  using name = Name;
  static constexpr index_t size = Size;
};

/// `Mesh<Axis<data, 2>, Axis<model, 4>>`: device r stands at coordinates (r / 4, r % 4), as in JAX (named_sharding.py).
template <class... A>
struct Mesh {
  static constexpr int rank = sizeof...(A);
  static constexpr index_t size = (A::size * ... * index_t{1});
  static constexpr std::array<index_t, static_cast<std::size_t>(rank)> sizes{A::size...};

  /// Position of an axis by name; -1 when the mesh has no such axis.
  template <class Name>
  static constexpr int axis_index = detail::index_of<Name, typename A::name...>();
  template <class Name>
  static constexpr bool has = axis_index<Name> >= 0;
  template <int I>
  using axis_name = typename detail::nth_t<I, A...>::name;

  static constexpr index_t axis_size(int axis) { return sizes[static_cast<std::size_t>(axis)]; }

  /// Distance in device numbers between neighbours along an axis.
  static constexpr index_t stride(int axis) {
    index_t s = 1;
    for (int a = rank - 1; a > axis; --a) s *= axis_size(a);
    return s;
  }
  static constexpr index_t coordinate(index_t device, int axis) { return device / stride(axis) % axis_size(axis); }

 private:
  static constexpr bool names_are_distinct() {
    int i = 0;
    return ((axis_index<typename A::name> == i++) && ...);
  }
  static_assert(names_are_distinct(), "[mesh] two axes have the same name");
};

namespace detail {
template <class>
inline constexpr bool is_mesh = false;
template <class... A>
inline constexpr bool is_mesh<Mesh<A...>> = true;
}  // namespace detail
template <class M>
concept AnyMesh = detail::is_mesh<M>;

}  // namespace tess
