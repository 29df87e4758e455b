// Mesh: a grid of devices with named axes; device numbers are row-major, the first axis is the major one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <utility>

#include "axis.hpp"

namespace tess {

namespace detail {

/// Neighbouring parts of a mesh, in order: what one name stands for.
struct AxisRun {
  int first = -1, count = 0;
};

/// Parts of all axes of a mesh, one after the other.
template <int Parts>
struct MeshParts {
  struct Part {
    int axis = 0;       // of which axis
    index_t major = 1;  // product of the sizes of the parts of that axis before this one
    index_t size = 1;
    bool between_hosts = false;
  };
  std::array<Part, static_cast<std::size_t>(Parts)> part{};

  constexpr const Part& operator[](int i) const { return part[static_cast<std::size_t>(i)]; }
  constexpr index_t product(int first, int count) const {
    index_t n = 1;
    for (int i = first; i < first + count; ++i) n *= (*this)[i].size;
    return n;
  }
  /// The run of parts of `axis` from `major` on whose sizes multiply to `size`; none: {-1, 0}.
  constexpr AxisRun run(int axis, index_t major, index_t size) const {
    for (int first = 0; first < Parts; ++first) {
      if ((*this)[first].axis != axis || (*this)[first].major != major) continue;
      index_t n = 1;
      for (int i = first; i < Parts && (*this)[i].axis == axis && n < size; ++i) {
        n *= (*this)[i].size;
        if (n == size) return {first, i - first + 1};
      }
      if (size == 1 && (*this)[first].size == 1) return {first, 1};
    }
    return {};
  }
};

template <int Parts, class... A>
constexpr MeshParts<Parts> mesh_parts() {
  MeshParts<Parts> all;
  int at = 0, axis = 0;
  [[maybe_unused]] auto add = [&](const auto& parts, int count, int between) {
    index_t major = 1;
    for (int i = 0; i < count; ++i) {
      const index_t size = parts[static_cast<std::size_t>(i)];
      all.part[static_cast<std::size_t>(at++)] = {axis, major, size, i < between};
      major *= size;
    }
    ++axis;
  };
  (add(A::parts, A::part_count, A::between_parts), ...);
  return all;
}

template <class Name, index_t Major, index_t Size, index_t Whole>
struct part_name {
  using type = Sub<Name, Major, Size>;
};
template <class Name, index_t Size>
struct part_name<Name, 1, Size, Size> {
  using type = Name;
};
template <class Name>
struct wanted_part {  // the name as it stands: the whole axis
  using name = Name;
  static constexpr index_t major = 1, size = 0;
};
template <class Name, index_t Major, index_t Size>
struct wanted_part<Sub<Name, Major, Size>> {
  using name = Name;
  static constexpr index_t major = Major, size = Size;
};
}  // namespace detail

/// `Mesh<Axis<data, 2>, Axis<model, 4>>`: device r stands at coordinates (r / 4, r % 4), as in JAX (named_sharding.py).
/// Inside, positions count the parts of axes: an axis in one piece is one position, `Axis<model, 8, 2>` is two.
template <class... A>
struct Mesh {
  static constexpr int rank = (A::part_count + ... + 0);
  static constexpr index_t size = (A::size * ... * index_t{1});

 private:
  static constexpr detail::MeshParts<rank> parts = detail::mesh_parts<rank, A...>();
  template <class Name>
  static constexpr detail::AxisRun find() {
    using wanted = detail::wanted_part<Name>;
    constexpr int axis = detail::index_of<typename wanted::name, typename A::name...>();
    if constexpr (axis < 0) return {};
    else return parts.run(axis, wanted::major, wanted::size ? wanted::size : detail::nth_t<axis, A...>::size);
  }

 public:
  /// The positions that a name stands for: an axis, or a `Sub` of it at which the mesh divides it.
  template <class Name>
  static constexpr detail::AxisRun run_of = find<Name>();
  template <class Name>
  static constexpr bool has = run_of<Name>.count > 0;
  /// Whether the axis exists at all, divided there or not.
  template <class Name>
  static constexpr bool has_axis = detail::index_of<typename detail::wanted_part<Name>::name, typename A::name...>() >=
                                   0;
  /// First position of an axis by name; -1 when the mesh has no such axis.
  template <class Name>
  static constexpr int axis_index = run_of<Name>.first;
  /// Devices along an axis by name, all its parts together.
  template <class Name>
  static constexpr index_t size_along = parts.product(run_of<Name>.first, run_of<Name>.count);

  /// The name of `Count` neighbouring positions of one axis.
  template <int First, int Count = 1>
  using axis_name =
      typename detail::part_name<typename detail::nth_t<parts[First].axis, A...>::name, parts[First].major,
                                 parts.product(First, Count), detail::nth_t<parts[First].axis, A...>::size>::type;

  static constexpr index_t axis_size(int axis) { return parts[axis].size; }
  /// Which axis a position is a part of.
  static constexpr int axis_of(int position) { return parts[position].axis; }
  /// Do neighbours along this position stand in different hosts?
  static constexpr bool between_hosts(int axis) { return parts[axis].between_hosts; }

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
    return ((detail::index_of<typename A::name, typename A::name...>() == i++) && ...);
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

inline constexpr int max_mesh_axes = 12;  // positions of one mesh

/// A mesh as a plain value, for rules that are functions of values.
struct MeshValue {
  int rank = 0;
  std::array<index_t, static_cast<std::size_t>(max_mesh_axes)> sizes{};
  unsigned between_hosts = 0;  // one bit a position

  constexpr index_t size(int axis) const { return sizes[static_cast<std::size_t>(axis)]; }
  /// Positions of size 1: names in typing, nothing in placement.
  constexpr unsigned trivial() const {
    unsigned m = 0;
    for (int a = 0; a < rank; ++a)
      if (size(a) == 1) m |= 1u << a;
    return m;
  }
  constexpr index_t devices() const {
    index_t n = 1;
    for (int a = 0; a < rank; ++a) n *= size(a);
    return n;
  }
  constexpr index_t stride(int axis) const {
    index_t s = 1;
    for (int a = rank - 1; a > axis; --a) s *= size(a);
    return s;
  }
  constexpr index_t coordinate(index_t device, int axis) const { return device / stride(axis) % size(axis); }
};

template <AnyMesh M>
inline constexpr MeshValue mesh_value = [] {
  static_assert(M::rank <= max_mesh_axes, "[mesh] a mesh has at most tess::max_mesh_axes axes and parts of axes");
  MeshValue v;
  v.rank = M::rank;
  for (int a = 0; a < M::rank; ++a) {
    v.sizes[static_cast<std::size_t>(a)] = M::axis_size(a);
    if (M::between_hosts(a)) v.between_hosts |= 1u << a;
  }
  return v;
}();

}  // namespace tess
