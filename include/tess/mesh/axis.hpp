// Axis: a named direction of a mesh, in one piece or in parts, of which the first may run between hosts.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "../core/meta.hpp"
#include "../core/types.hpp"

namespace tess {

namespace detail {
/// An axis in parts, major to minor; the first `Between` of them run between hosts. Parts of size 1 say nothing and are
/// left out, unless the axis is nothing else.
template <class Name, int Between, index_t... Part>
struct PartedAxis {
  static_assert(sizeof...(Part) > 0 && ((Part > 0) && ...), "[mesh] a mesh axis holds at least one device");
  using name = Name;
  static constexpr index_t size = (Part * ... * index_t{1});
  static constexpr int part_count = size == 1 ? 1 : (int(Part > 1) + ... + 0);
  static constexpr std::array<index_t, static_cast<std::size_t>(part_count)> parts = [] {
    std::array<index_t, static_cast<std::size_t>(part_count)> p{};
    p[0] = 1;
    std::size_t n = 0;
    ((Part > 1 ? void(p[n++] = Part) : void()), ...);
    return p;
  }();
  static constexpr int between_parts = [] {
    int i = 0, n = 0;
    ((n += int(i++ < Between && Part > 1)), ...);
    return n;
  }();
};
}  // namespace detail

/// One axis of a mesh. `Name` is a tag type: `struct data; struct model;` in the user's namespace.
/// `Axis<model, 16>` is one piece. `Axis<model, 8, 2>` has 16 devices too, in 8 pairs: specs may then also name its parts,
/// `Sub<model, 1, 8>` (the pairs) and `Sub<model, 8, 2>` (the two of a pair).
template <class Name, index_t... Part>
struct Axis : detail::PartedAxis<Name, 0, Part...> {};

/// An axis that runs over several hosts: coordinate = between · Within + within, as JAX's create_hybrid_device_mesh
/// orders it (jax/_src/mesh_utils.py:865-938).
template <class Name, index_t Between, index_t Within>
struct HybridAxis : detail::PartedAxis<Name, 1, Between, Within> {};

/// A part of axis Name, as Shardy writes it, "name":(major)size. Devices are counted along the axis; this is digit
/// (coordinate / (whole / (Major · Size))) % Size.
template <class Name, index_t Major, index_t Size>
struct Sub {};

}  // namespace tess
