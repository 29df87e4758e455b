// The rule of elementwise functions: how operands must lie, what may act on pending values, and how the result lies.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "join.hpp"
#include "shape_value.hpp"

namespace tess::rules {

/// What a function f promises about values of which each device holds a part only. Bit i speaks of operand i.
struct Algebra {
  unsigned together = 0;  // f(Σa, Σb) = Σ f(a, b), where these operands, and no others, are pending: add, sub, neg
  unsigned alone = 0;  // f(Σa, b) = Σ f(a, b), one operand pending, the others whole: mul; div in its first operand
  unsigned rises = 0;  // f(max a, b) = max f(a, b), and the same with min: f never falls as this operand grows
  unsigned falls = 0;  // f(max a, b) = min f(a, b): f never rises as this operand grows
  bool joins_max = false;  // f(max a, max b) = max f(a, b), for operands in which it rises
  bool joins_min = false;
};

/// Nothing is known of f: all operands must be whole.
inline constexpr Algebra opaque{};

/// One operand of an elementwise function, or its result.
struct MapOperand {
  SpecValue spec{};
  ShapeValue shape{};
  bool has_gradient = true;  // not so: integers and masks, whose mark `Reduced` nobody asks about
};

enum class MapFault : unsigned char {
  none,
  nonlinear,            // f of a pending sum, where f is not linear
  not_monotone,         // f of a pending maximum or minimum, where f neither rises nor falls
  finished_addend,      // a pending sum + a finished value: every device would add it
  two_factors,          // a product of two pending sums
  denominator,          // a quotient by a pending sum
  pending_differently,  // pending over different axes, or of different kinds
  shapes,               // extents neither equal nor 1
  sharding,             // a dimension is sharded in two ways of which neither refines the other
  twice,                // the result would use a mesh axis twice
  marks                 // one operand is marked Reduced over an axis, another is not
};

struct MapVerdict {
  MapFault fault = MapFault::none;
  int first = 0, second = 0;  // the operands that do not go together
  MapOperand result{};
};

namespace detail {

constexpr bool one_bit(unsigned m) { return m != 0 && (m & (m - 1)) == 0; }
constexpr int lowest_bit(unsigned m) {
  int i = 0;
  while (!(m >> i & 1u)) ++i;
  return i;
}
constexpr Reduction opposite(Reduction k) {
  return k == Reduction::max ? Reduction::min : k == Reduction::min ? Reduction::max : k;
}

/// f(parts of these operands), put together as `how`; `holds` says whether that is f of the whole.
struct Through {
  bool holds = false;
  Reduction how = Reduction::sum;
};
constexpr Through through(const Algebra& f, unsigned pending, Reduction kind) {
  if (kind == Reduction::sum) return {pending == f.together || (one_bit(pending) && (pending & f.alone)), kind};
  if (one_bit(pending) && (pending & f.rises)) return {true, kind};
  if (one_bit(pending) && (pending & f.falls)) return {true, opposite(kind)};
  return {(pending & ~f.rises) == 0 && (kind == Reduction::max ? f.joins_max : f.joins_min), kind};
}

/// Why not, of an axis over which the operands `pending` hold parts and the others are whole.
constexpr MapVerdict pending_fault(const Algebra& f, unsigned pending, Reduction kind, const MapOperand* x) {
  const int first = lowest_bit(pending);
  const unsigned others = pending & (pending - 1);
  if (kind != Reduction::sum) return {MapFault::not_monotone, first, others ? lowest_bit(others) : first};
  if (f.alone) {
    const unsigned wrong = pending & ~f.alone;
    if (!wrong) return {MapFault::two_factors, first, lowest_bit(others)};
    const int at = lowest_bit(wrong);
    return {at > lowest_bit(f.alone) ? MapFault::denominator : MapFault::nonlinear, at, at};
  }
  if (f.together && (pending & ~f.together) == 0) {
    const int other = lowest_bit(f.together & ~pending);
    return {x[other].spec.partial ? MapFault::pending_differently : MapFault::finished_addend,
            first < other ? first : other, first < other ? other : first};
  }
  return {MapFault::nonlinear, first, first};
}

/// Axis by axis: which operands hold parts, and does f commute with putting them together?
constexpr MapVerdict judge_pending(const MeshValue& m, const Algebra& f, const MapOperand* x, int n) {
  unsigned names = 0;
  Reduction how = Reduction::sum;
  for (int i = n - 1; i >= 0; --i)
    if (x[i].spec.partial) names |= x[i].spec.partial, how = x[i].spec.kind;
  bool first_axis = true;
  int by = 0;  // the operand that decided how
  for (int a = 0; a < m.rank; ++a) {
    if (!(names & ~m.trivial() & 1u << a)) continue;
    unsigned pending = 0;
    for (int i = 0; i < n; ++i)
      if (x[i].spec.partial >> a & 1u) pending |= 1u << i;
    const int first = lowest_bit(pending);
    const Reduction kind = x[first].spec.kind;
    for (int i = first; i < n; ++i)
      if ((pending >> i & 1u) && x[i].spec.kind != kind) return {MapFault::pending_differently, first, i};
    const Through t = through(f, pending, kind);
    if (!t.holds) return pending_fault(f, pending, kind, x);
    if (!first_axis && t.how != how) return {MapFault::pending_differently, by, first};
    first_axis = false, how = t.how, by = first;
  }
  MapVerdict v;
  v.result.spec.pend(names, how);
  return v;
}

/// Extents that go together: equal, or one of them 1; what only the run tells (dyn) goes with everything but counts as
/// not 1.
constexpr bool extents_join(index_t a, index_t b) { return a == b || a == 1 || b == 1 || a == dyn || b == dyn; }
constexpr index_t joined_extent(index_t a, index_t b) { return a == 1 || (a == dyn && b != 1) ? b : a; }

}  // namespace detail

/// y[i] = f(x0[i], x1[i], …) with numpy's broadcasting: shapes are aligned at their last dimension, extents 1 stretch.
/// Local when of the shardings of every dimension one refines the others: the coarser operands are sliced, for free.
///   P<x> , P<Axes<x, y>> -> P<Axes<x, y>>        P<x, None> , P<None, y> -> P<x, y>
/// Pending operands only where f commutes with putting the parts together, as `Algebra` says, axis by axis.
/// Marks `Reduced` must agree: elsewhere a gradient would have to be summed. A scalar without a mark has every mark, and
/// so has a pending operand over its own axes (JAX: mul of unreduced by reduced).
/// Source: jax/_src/lax/lax.py, broadcasting_sharding_rule; sharding.md 1.4.7, 1.5, 1.7; refinement: ours.
constexpr MapVerdict elementwise(const MeshValue& m, const Algebra& f, const MapOperand* x, int n) {
  const unsigned trivial = m.trivial();
  MapVerdict v = detail::judge_pending(m, f, x, n);
  if (v.fault != MapFault::none) return v;
  SpecValue& y = v.result.spec;
  for (int i = 0; i < n; ++i) y.rank = x[i].spec.rank > y.rank ? x[i].spec.rank : y.rank;

  // Dimension by dimension: the extents, then the axes.
  for (int d = 0; d < y.rank; ++d) {
    index_t extent = 1;
    int by = 0;
    for (int i = 0; i < n; ++i) {
      const int own = d - (y.rank - x[i].spec.rank);
      if (own < 0) continue;
      if (!detail::extents_join(extent, x[i].shape[own])) return {MapFault::shapes, by, i};
      const index_t joined = detail::joined_extent(extent, x[i].shape[own]);
      if (joined != extent) extent = joined, by = i;
    }
    v.result.shape.push(extent);
  }
  int sharded_by[max_rank] = {};
  for (int d = 0; d < y.rank; ++d)
    for (int i = 0; i < n; ++i) {
      const int own = d - (y.rank - x[i].spec.rank);
      if (own < 0) continue;
      const Joined j = join(m, y[d], x[i].spec[own]);
      if (!j.exists) return {MapFault::sharding, sharded_by[d], i};
      if (!(j.axes == y[d])) y[d] = j.axes, sharded_by[d] = i;
    }

  // No axis twice; a repeated axis of size 1 is dropped.
  unsigned seen = 0;
  for (int d = 0; d < y.rank; ++d) {
    if (const unsigned again = y[d].mask() & seen & ~trivial) {
      int other = 0;
      while (!(y[other].mask() & again)) ++other;
      const int p = sharded_by[other], q = sharded_by[d];
      return {MapFault::twice, p < q ? p : q, p < q ? q : p};
    }
    y[d] = y[d].without(seen & trivial);
    seen |= y[d].mask();
  }
  if (const unsigned both = y.partial & seen & ~trivial) {
    int p = 0, q = 0;
    while (!(x[p].spec.partial & both)) ++p;
    while (!(x[q].spec.sharded() & both)) ++q;
    return {MapFault::twice, p < q ? p : q, p < q ? q : p};
  }
  y.pend(y.partial & ~seen, y.kind);

  // Marks.
  unsigned marks = 0;
  int marked = 0;
  for (int i = n - 1; i >= 0; --i)
    if (x[i].has_gradient && (x[i].spec.reduced & ~trivial)) marks |= x[i].spec.reduced, marked = i;
  for (int i = 0; i < n; ++i) {
    const SpecValue& s = x[i].spec;
    const bool scalar = s.rank == 0 && !s.reduced;
    if (!x[i].has_gradient || scalar) continue;
    if (marks & ~(s.reduced | s.partial | trivial))
      return {MapFault::marks, i < marked ? i : marked, i < marked ? marked : i};
  }
  for (int i = 0; i < n; ++i)
    if (x[i].has_gradient) marks |= x[i].spec.reduced;
  y.reduced = marks & ~seen & ~y.partial;
  return v;
}

}  // namespace tess::rules
