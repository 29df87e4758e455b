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

inline constexpr int max_rank = 8;  // of one tensor

/// The mesh axes (by position) that shard one dimension, major to minor. Packed into one word: compilers evaluate specs
/// by the thousand.
struct DimAxes {
  int count = 0;
  unsigned long long digits = 0;  // four bits an axis, the major one lowest

  constexpr int operator[](int i) const { return static_cast<int>(digits >> (4 * i) & 15u); }
  constexpr void push(int a) {
    if (count == max_mesh_axes) return;
    digits |= static_cast<unsigned long long>(a) << (4 * count++);
  }
  constexpr int pop() {
    const int last = (*this)[--count];
    digits &= (1ull << (4 * count)) - 1ull;
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

/// How the parts of a pending value are put together: with `sum` the devices hold addends.
enum class Reduction : unsigned char { sum, max, min };

struct SpecValue {
  int rank = 0;
  std::array<DimAxes, max_rank> dims{};
  unsigned partial = 0;             // one bit an axis
  Reduction kind = Reduction::sum;  // of the pending axes; sum where there are none
  unsigned reduced = 0;             // replicated over these, with a gradient that is pending over them

  constexpr DimAxes& operator[](int d) { return dims[static_cast<std::size_t>(d)]; }
  constexpr const DimAxes& operator[](int d) const { return dims[static_cast<std::size_t>(d)]; }
  constexpr bool operator==(const SpecValue&) const = default;
  /// Axes that the spec names: they shard some dimension, are pending or reduced.
  constexpr unsigned used() const {
    unsigned m = partial | reduced;
    for (int d = 0; d < rank; ++d) m |= (*this)[d].mask();
    return m;
  }
  /// The axes that shard some dimension.
  constexpr unsigned sharded() const {
    unsigned m = 0;
    for (int d = 0; d < rank; ++d) m |= (*this)[d].mask();
    return m;
  }
  /// Sets the pending axes and how they are put together; over no axes nothing is pending.
  constexpr void pend(unsigned axes, Reduction how = Reduction::sum) {
    partial = axes;
    kind = axes ? how : Reduction::sum;
  }
  /// The same value without the axes in `dropped`, wherever they stand.
  constexpr SpecValue without(unsigned dropped) const {
    SpecValue r = *this;
    for (int d = 0; d < rank; ++d) r[d] = (*this)[d].without(dropped);
    r.pend(partial & ~dropped, kind);
    r.reduced &= ~dropped;
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

/// The same over values.
constexpr index_t parts(const MeshValue& m, const DimAxes& a) {
  index_t n = 1;
  for (int i = 0; i < a.count; ++i) n *= m.size(a[i]);
  return n;
}

/// Axes of size 1: names in typing, nothing in placement.
template <AnyMesh M>
constexpr unsigned trivial_axes() {
  return mesh_value<M>.trivial();
}

namespace detail {

/// What an entry of a spec speaks of.
enum class EntryKind : unsigned char { dimension, partial, reduced };

/// One entry read on a mesh; `unknown` when it names an axis that the mesh lacks, `undivided` when the mesh has the axis,
/// but in other parts.
struct Entry {
  DimAxes axes{};
  EntryKind kind = EntryKind::dimension;
  Reduction how = Reduction::sum;
  bool unknown = false, undivided = false;
};
template <class M, class... N>
constexpr Entry read_axes(EntryKind kind, Reduction how = Reduction::sum) {
  Entry e;
  e.kind = kind, e.how = how;
  [[maybe_unused]] auto push = [&e](AxisRun run, bool has_axis) {
    if (run.count == 0) (has_axis ? e.undivided : e.unknown) = true;
    for (int i = 0; i < run.count; ++i) e.axes.push(run.first + i);
  };
  (push(M::template run_of<N>, M::template has_axis<N>), ...);
  return e;
}
template <class M, class E>
struct read_entry {
  static constexpr Entry value = read_axes<M, E>(EntryKind::dimension);
};
template <class M>
struct read_entry<M, None> {
  static constexpr Entry value{};
};
template <class M, class... N>
struct read_entry<M, Axes<N...>> {
  static constexpr Entry value = read_axes<M, N...>(EntryKind::dimension);
};
template <class M, class... N>
struct read_entry<M, Partial<N...>> {
  static constexpr Entry value = read_axes<M, N...>(EntryKind::partial);
};
template <class M, class... N>
struct read_entry<M, PartialMax<N...>> {
  static constexpr Entry value = read_axes<M, N...>(EntryKind::partial, Reduction::max);
};
template <class M, class... N>
struct read_entry<M, PartialMin<N...>> {
  static constexpr Entry value = read_axes<M, N...>(EntryKind::partial, Reduction::min);
};
template <class M, class... N>
struct read_entry<M, Reduced<N...>> {
  static constexpr Entry value = read_axes<M, N...>(EntryKind::reduced);
};

template <class M, int Rank, class... E>
constexpr SpecValue read_spec(P<E...>) {
  SpecValue s;
  s.rank = Rank;
  int d = 0;
  [[maybe_unused]] auto add = [&](const Entry& e) {
    if (e.kind == EntryKind::partial) s.pend(s.partial | e.axes.mask(), e.how);
    else if (e.kind == EntryKind::reduced) s.reduced |= e.axes.mask();
    else if (d < Rank && d < max_rank) s[d++] = e.axes;
  };
  (add(read_entry<M, E>::value), ...);
  return s;
}

// Back from value to type. Only integers cross the border, because nvcc rejects class-type template arguments in
// kernels.

/// Positions as the fewest names: neighbouring parts of one axis, in order, are one name.
struct NamedRuns {
  int count = 0;
  std::array<AxisRun, static_cast<std::size_t>(max_mesh_axes)> run{};
  constexpr AxisRun operator[](int i) const { return run[static_cast<std::size_t>(i)]; }
};
template <class M>
constexpr NamedRuns named_runs(const DimAxes& axes) {
  NamedRuns r;
  for (int i = 0; i < axes.count; ++i) {
    const int a = axes[i];
    if (r.count > 0) {
      AxisRun& last = r.run[static_cast<std::size_t>(r.count - 1)];
      if (last.first + last.count == a && M::axis_of(last.first) == M::axis_of(a)) {
        ++last.count;
        continue;
      }
    }
    r.run[static_cast<std::size_t>(r.count++)] = {a, 1};
  }
  return r;
}
constexpr DimAxes axes_of_mask(unsigned mask) {
  DimAxes a;
  for (int i = 0; i < max_mesh_axes; ++i)
    if (mask >> i & 1u) a.push(i);
  return a;
}

/// Wraps the names of `Holder::axes`: `Wrap<Names...>`.
template <class M, class Holder>
inline constexpr NamedRuns runs_of = named_runs<M>(Holder::axes);
template <class M, class Holder, int I>
using run_name = typename M::template axis_name<runs_of<M, Holder>[I].first, runs_of<M, Holder>[I].count>;
template <template <class...> class Wrap, class M, class Holder, int... I>
auto wrap_run_names(std::integer_sequence<int, I...>) -> Wrap<run_name<M, Holder, I>...>;
template <template <class...> class Wrap, class M, class Holder>
using wrap_names =
    decltype(wrap_run_names<Wrap, M, Holder>(std::make_integer_sequence<int, runs_of<M, Holder>.count>{}));
template <class... N>
struct dim_names {
  using type = Axes<N...>;
};
template <>
struct dim_names<> {
  using type = None;
};
template <class N>
struct dim_names<N> {
  using type = N;
};
template <class Holder, int D>
struct axes_of_dim {
  static constexpr DimAxes axes = Holder::value[D];
};
template <class Holder, bool Pending>
struct axes_beside {
  static constexpr DimAxes axes = axes_of_mask(Pending ? Holder::value.partial : Holder::value.reduced);
};
template <class M, class Holder, int D>
using dim_entry = typename wrap_names<dim_names, M, axes_of_dim<Holder, D>>::type;

template <class M, class Holder, class... E>
auto with_partial(P<E...>) {
  constexpr unsigned mask = Holder::value.partial;
  constexpr Reduction kind = Holder::value.kind;
  using pending = axes_beside<Holder, true>;
  if constexpr (mask == 0) return P<E...>{};
  else if constexpr (kind == Reduction::sum) return P<E..., wrap_names<Partial, M, pending>>{};
  else if constexpr (kind == Reduction::max) return P<E..., wrap_names<PartialMax, M, pending>>{};
  else return P<E..., wrap_names<PartialMin, M, pending>>{};
}
template <class M, class Holder, class... E>
auto with_reduced(P<E...>) {
  if constexpr (Holder::value.reduced == 0) return P<E...>{};
  else return P<E..., wrap_names<Reduced, M, axes_beside<Holder, false>>>{};
}
template <class M, class Holder, int... D>
auto spec_from(std::integer_sequence<int, D...>) {
  return with_reduced<M, Holder>(with_partial<M, Holder>(P<dim_entry<M, Holder, D>...>{}));
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

/// Normal form: full rank, one-axis tuples as the axis, empty ones as None, then Partial and Reduced in mesh order.
/// `P<data>`, `P<Axes<data>, None>` and `P<data, Axes<>>` are one type at rank 2.
template <AnySpec S, AnyMesh M, int Rank>
using normal_form = spec_type<M, detail::spec_holder<S, M, Rank>>;

/// A spec without what does not matter to placement: axes of size 1 and the mark `Reduced`.
constexpr SpecValue placement(const MeshValue& m, SpecValue s) {
  s.reduced = 0;
  return s.without(m.trivial());
}

/// Do two specs put the same elements on the same devices? (Axes of size 1 do not matter here; in typing they do.)
template <AnySpec A, AnySpec B, AnyMesh M, int Rank>
inline constexpr bool same_placement = placement(mesh_value<M>, spec_value<A, M, Rank>) ==
                                       placement(mesh_value<M>, spec_value<B, M, Rank>);

}  // namespace tess
