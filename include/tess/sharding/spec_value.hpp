// SpecValue: a PartitionSpec as a plain constexpr value on one mesh. Types at the API, values inside.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <utility>

#include "../core/facts.hpp"
#include "../core/meta.hpp"
#include "../mesh/mesh.hpp"
#include "partition_spec.hpp"

namespace tess {

inline constexpr int max_mesh_axes = 6;  // of one mesh
inline constexpr int max_rank = 6;       // of one tensor

/// The mesh axes (by position) that shard one dimension, major to minor. Packed into one word: compilers evaluate specs
/// by the thousand.
struct DimAxes {
  int count = 0;
  unsigned digits = 0;  // three bits an axis, the major one lowest

  constexpr int operator[](int i) const { return static_cast<int>(digits >> (3 * i) & 7u); }
  constexpr void push(int a) {
    if (count == max_mesh_axes) return;
    digits |= static_cast<unsigned>(a) << (3 * count++);
  }
  constexpr int pop() {
    const int last = (*this)[--count];
    digits &= (1u << (3 * count)) - 1u;
    return last;
  }
  constexpr bool operator==(const DimAxes&) const = default;
  constexpr unsigned mask() const {
    unsigned m = 0;
    for (int i = 0; i < count; ++i) m |= 1u << (*this)[i];
    return m;
  }
  /// Without the axes in `dropped`, order kept.
  constexpr DimAxes without(unsigned dropped) const {
    DimAxes r;
    for (int i = 0; i < count; ++i)
      if (!(dropped >> (*this)[i] & 1u)) r.push((*this)[i]);
    return r;
  }
};

struct SpecValue {
  int rank = 0;
  std::array<DimAxes, max_rank> dims{};
  unsigned partial = 0;  // one bit an axis

  constexpr DimAxes& operator[](int d) { return dims[static_cast<std::size_t>(d)]; }
  constexpr const DimAxes& operator[](int d) const { return dims[static_cast<std::size_t>(d)]; }
  constexpr bool operator==(const SpecValue&) const = default;
  /// Axes that shard some dimension or are pending.
  constexpr unsigned used() const {
    unsigned m = partial;
    for (int d = 0; d < rank; ++d) m |= (*this)[d].mask();
    return m;
  }
  /// The same value without the axes in `dropped`, in dimensions and in the pending sum.
  constexpr SpecValue without(unsigned dropped) const {
    SpecValue r = *this;
    for (int d = 0; d < rank; ++d) r[d] = (*this)[d].without(dropped);
    r.partial &= ~dropped;
    return r;
  }
};

/// Number of shards into which axes cut a dimension.
template <AnyMesh M>
constexpr index_t parts(const DimAxes& a) {
  index_t n = 1;
  for (int i = 0; i < a.count; ++i) n *= M::axis_size(a[i]);
  return n;
}

/// Axes of size 1: names in typing, nothing in placement.
template <AnyMesh M>
constexpr unsigned trivial_axes() {
  unsigned m = 0;
  for (int a = 0; a < M::rank; ++a)
    if (M::axis_size(a) == 1) m |= 1u << a;
  return m;
}

namespace detail {

/// One entry read on a mesh; `unknown` when it names an axis that the mesh lacks.
struct Entry {
  DimAxes axes;
  bool partial = false, unknown = false;
};
template <class M, class... N>
constexpr Entry read_axes(bool partial) {
  Entry e;
  e.partial = partial;
  ((M::template has<N> ? e.axes.push(M::template axis_index<N>) : void(e.unknown = true)), ...);
  return e;
}
template <class M, class E>
struct read_entry {
  static constexpr Entry value = read_axes<M, E>(false);
};
template <class M>
struct read_entry<M, None> {
  static constexpr Entry value{};
};
template <class M, class... N>
struct read_entry<M, Axes<N...>> {
  static constexpr Entry value = read_axes<M, N...>(false);
};
template <class M, class... N>
struct read_entry<M, Partial<N...>> {
  static constexpr Entry value = read_axes<M, N...>(true);
};

template <class M, int Rank, class... E>
constexpr SpecValue read_spec(P<E...>) {
  SpecValue s;
  s.rank = Rank;
  int d = 0;
  [[maybe_unused]] auto add = [&](const Entry& e) {
    if (e.partial) s.partial |= e.axes.mask();
    else if (d < Rank && d < max_rank) s[d++] = e.axes;
  };
  (add(read_entry<M, E>::value), ...);
  return s;
}

// Back from value to type. Only integers cross the border, because nvcc rejects class-type template arguments in
// kernels.
template <class M, int... A>
struct entry_type {
  using type = Axes<typename M::template axis_name<A>...>;
};
template <class M>
struct entry_type<M> {
  using type = None;
};
template <class M, int A>
struct entry_type<M, A> {
  using type = typename M::template axis_name<A>;
};
template <class M, class Holder, int D, int... I>
auto entry_from(std::integer_sequence<int, I...>) -> typename entry_type<M, Holder::value[D][I]...>::type;
template <class M, class Holder, int D>
using dim_entry = decltype(entry_from<M, Holder, D>(std::make_integer_sequence<int, Holder::value[D].count>{}));

template <unsigned Mask>
constexpr int nth_bit(int n) {
  for (int a = 0; a < max_mesh_axes; ++a)
    if (Mask >> a & 1u) {
      if (n-- == 0) return a;
    }
  return -1;
}
template <unsigned Mask>
constexpr int bit_count() {
  int n = 0;
  for (int a = 0; a < max_mesh_axes; ++a) n += static_cast<int>(Mask >> a & 1u);
  return n;
}
template <class M, unsigned Mask, class... E, int... I>
auto with_partial(P<E...>, std::integer_sequence<int, I...>) {
  if constexpr (sizeof...(I) == 0) return P<E...>{};
  else return P<E..., Partial<typename M::template axis_name<nth_bit<Mask>(I)>...>>{};
}
template <class M, class Holder, int... D>
auto spec_from(std::integer_sequence<int, D...>) {
  constexpr unsigned mask = Holder::value.partial;
  return with_partial<M, mask>(P<dim_entry<M, Holder, D>...>{}, std::make_integer_sequence<int, bit_count<mask>()>{});
}
}  // namespace detail

/// The value of a spec on a mesh, at the given rank. Total: unknown axes and surplus entries are skipped (`judge`
/// reports them).
template <AnySpec S, AnyMesh M, int Rank>
inline constexpr SpecValue spec_value = detail::read_spec<M, Rank>(S{});

/// The spec in normal form that has the value `Holder::value` on mesh M.
template <AnyMesh M, class Holder>
using spec_type = decltype(detail::spec_from<M, Holder>(std::make_integer_sequence<int, Holder::value.rank>{}));

namespace detail {
template <class S, class M, int Rank>
struct spec_holder {
  static constexpr SpecValue value = spec_value<S, M, Rank>;
};
}  // namespace detail

/// Normal form: full rank, one-axis tuples as the axis, empty ones as None, Partial last and in mesh order.
/// `P<data>`, `P<Axes<data>, None>` and `P<data, Axes<>>` are one type at rank 2.
template <AnySpec S, AnyMesh M, int Rank>
using normal_form = spec_type<M, detail::spec_holder<S, M, Rank>>;

/// Do two specs put the same elements on the same devices? (Axes of size 1 do not matter here; in typing they do.)
template <AnySpec A, AnySpec B, AnyMesh M, int Rank>
inline constexpr bool same_placement =
    spec_value<A, M, Rank>.without(trivial_axes<M>()) == spec_value<B, M, Rank>.without(trivial_axes<M>());

}  // namespace tess
