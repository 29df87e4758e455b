// The rule of reshape: it is local if and only if the new dimensions can be read off the digits of the old ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shape_value.hpp"

namespace tess::rules {

enum class ReshapeFault {
  none,
  sizes_differ,  // the shapes have different numbers of elements
  not_local,     // elements would have to move between devices
  not_known      // with other run-time extents the result would be sharded otherwise
};
struct ReshapeVerdict {
  ReshapeFault fault = ReshapeFault::none;
  int dimension = -1;  // of the result, the first that cannot be read off
  SpecValue result{};  // of a refused reshape: nothing sharded
};

namespace detail {

/// One digit of the number of an element: of a mesh axis, or (axis -1) of the offset in a shard.
struct Digit {
  int axis = -1;
  index_t size = 1;   // may be dyn
  index_t whole = 0;  // of a dyn size: a number that it divides, if there is one

  /// Whether an extent n can be taken out of it.
  constexpr bool gives(index_t n) const { return (size == dyn ? whole : size) % n == 0; }
};
struct Digits {
  int count = 0, first = 0;
  std::array<Digit, static_cast<std::size_t>(max_mesh_axes + max_rank)> digit{};

  constexpr bool empty() const { return first == count; }
  constexpr Digit& front() { return digit[static_cast<std::size_t>(first)]; }
  constexpr void push(int axis, index_t size) {
    if (size == 1) return;
    if (axis < 0 && !empty() && digit[static_cast<std::size_t>(count - 1)].axis < 0) {
      index_t& last = digit[static_cast<std::size_t>(count - 1)].size;
      last = last == dyn || size == dyn ? dyn : last * size;
    } else if (count < max_mesh_axes + max_rank) {
      digit[static_cast<std::size_t>(count++)] = {axis, size};
    }
  }
};

/// Per dimension its axes, major first, and then what a device holds; digits of size 1 left out, neighbouring offsets
/// one digit. An extent that an axis does not divide, or of 0, is as good as unknown.
constexpr Digits digits_of(const MeshValue& m, const ShapeValue& shape, const SpecValue& x) {
  Digits all;
  for (int d = 0; d < shape.rank; ++d) {
    const index_t k = parts(m, x[d]);
    for (int i = 0; i < x[d].count; ++i) all.push(x[d][i], m.size(x[d][i]));
    all.push(-1, shape[d] <= 0 || shape[d] % k != 0 ? dyn : shape[d] / k);
  }
  return all;
}

/// Reads the dimensions of `to` off the digits. A digit of unknown size is used up by a dimension or not, and, unless
/// all are (`greedy`), an axis belongs to a dimension of unknown extent or not: `choices` says so, one bit each time it
/// is asked; `asked` counts.
constexpr ReshapeVerdict read_digits(Digits digits, const ShapeValue& to, bool greedy, unsigned choices, int& asked) {
  ReshapeVerdict v;
  v.result.rank = to.rank;
  const auto chosen = [&] { return (choices >> asked++ & 1u) == 0; };
  for (int d = 0; d < to.rank; ++d) {
    const bool known = to[d] > 0;
    index_t rest = known ? to[d] : dyn;
    while (rest != 1 && !digits.empty() && digits.front().axis >= 0 &&
           (known ? rest % digits.front().size == 0 : greedy || chosen())) {
      v.result[d].push(digits.front().axis);
      if (known) rest /= digits.front().size;
      ++digits.first;
    }
    if (rest == 1 || (!known && (digits.empty() || digits.front().axis >= 0))) continue;
    if (digits.empty() || digits.front().axis >= 0 || (known && !digits.front().gives(rest)))
      return {ReshapeFault::not_local, d, v.result};
    Digit& offset = digits.front();
    if (known && offset.size != dyn) {
      offset.size /= rest;
    } else {
      const index_t whole = offset.size == dyn ? offset.whole : offset.size;
      offset = {-1, chosen() ? 1 : dyn, known ? whole / rest : whole};
    }
    if (offset.size == 1) ++digits.first;
  }
  if (!digits.empty()) return {ReshapeFault::not_local, to.rank - 1, v.result};
  return v;
}

struct Readings {
  int found = 0, fails_at = -1;  // different ones; where the one that came furthest failed
  ReshapeVerdict first{};
};
/// All ways to read the dimensions off the digits.
constexpr Readings readings(const Digits& digits, const ShapeValue& to, bool greedy) {
  Readings r;
  int most_asked = 0;
  for (unsigned choices = 0; choices < 1u << most_asked || choices == 0; ++choices) {
    int asked = 0;
    const ReshapeVerdict v = read_digits(digits, to, greedy, choices, asked);
    most_asked = asked > most_asked ? asked : most_asked;
    if (v.fault != ReshapeFault::none) {
      r.fails_at = v.dimension > r.fails_at ? v.dimension : r.fails_at;
    } else if (r.found == 0 || !(v.result == r.first.result)) {
      if (r.found++ == 0) r.first = v;
    }
  }
  return r;
}

/// b with its one unknown extent, where a has none.
constexpr ShapeValue solved(const ShapeValue& a, ShapeValue b) {
  index_t known = 1;
  int unknown = 0, at = 0;
  for (int d = 0; d < b.rank; ++d)
    if (b[d] == dyn) ++unknown, at = d;
    else known *= b[d];
  if (a.is_static() && unknown == 1 && known > 0 && a.size() % known == 0) b[at] = a.size() / known;
  return b;
}

}  // namespace detail

/// x [from] -> [to] in the same row-major order, every device keeping its bytes. Axes of size 1 are left out of x and
/// result. Write x as digits: an output dimension n takes axes from the front while they divide what is left of n, then
/// takes the rest of n out of one offset, which it must divide; else nothing is local. There is never more than one
/// result (sharding.md section 0; 29,000 cases by brute force). An extent dyn takes all axes before the next offset;
/// where that, or what is left of an offset, cannot be known, the one result that fits is taken, and checked at run
/// time.
constexpr ReshapeVerdict reshape_exactly(const MeshValue& m, const ShapeValue& from, const SpecValue& x,
                                         const ShapeValue& to) {
  ReshapeVerdict v;
  if (from.is_static() && to.is_static() && from.size() != to.size()) {
    v.fault = ReshapeFault::sizes_differ;
  } else {
    const ShapeValue all_from = detail::solved(to, from), all_to = detail::solved(from, to);
    const detail::Digits digits = detail::digits_of(m, all_from, x);
    const detail::Readings ways = detail::readings(digits, all_to, true);
    if (ways.found == 1) {
      v = ways.first;
    } else {
      const bool never = ways.found == 0 && ((all_from.is_static() && all_to.is_static()) ||
                                             detail::readings(digits, all_to, false).found == 0);
      v.fault = never ? ReshapeFault::not_local : ReshapeFault::not_known;
      v.dimension = never ? ways.fails_at : -1;
    }
  }
  v.result.rank = to.rank;
  v.result.pend(x.partial, x.kind);
  v.result.reduced = x.reduced;
  return v;
}

namespace detail {
/// The number of elements before dimension d, or from it on: the factors known, and how many are not.
struct Stretch {
  index_t known = 1;
  int unknown = 0;
  constexpr bool operator==(const Stretch&) const = default;
};
constexpr Stretch stretch(const ShapeValue& s, int begin, int end) {
  Stretch r;
  for (int d = begin; d < end; ++d)
    if (s[d] == dyn) ++r.unknown;
    else r.known *= s[d];
  return r;
}
/// Where the names of size 1 on dimension i of `from` go: to a dimension that begins at the same element, of the same
/// extent if there is one. -1: to none.
constexpr int place_of(const ShapeValue& from, int i, const ShapeValue& to) {
  int place = -1, distance = 2 * max_rank;
  for (int j = 0; j < to.rank; ++j) {
    if (!(stretch(from, 0, i) == stretch(to, 0, j) || stretch(from, i, from.rank) == stretch(to, j, to.rank))) continue;
    const int apart = i < j ? j - i : i - j;
    const int far = to[j] == from[i] ? apart : max_rank + to.rank - j;
    if (far < distance) place = j, distance = far;
  }
  return place;
}
/// Axes of `wanted` in its order, of size 1 or in `own`; then the others of `own`.
constexpr DimAxes in_order_of(const MeshValue& m, const DimAxes& wanted, const DimAxes& own) {
  DimAxes r;
  int next = 0;
  for (int i = 0; i < wanted.count; ++i) {
    if (m.size(wanted[i]) == 1) r.push(wanted[i]);
    else if (next < own.count && own[next] == wanted[i]) r.push(own[next++]);
  }
  while (next < own.count) r.push(own[next++]);
  return r;
}
}  // namespace detail

/// `reshape_exactly`, where names of size 1 stay with the dimension that begins where theirs did.
constexpr ReshapeVerdict reshape(const MeshValue& m, const ShapeValue& from, const SpecValue& x, const ShapeValue& to) {
  const unsigned trivial = m.trivial();
  ReshapeVerdict v = reshape_exactly(m, from, x.without(trivial), to);
  v.result.pend(x.partial, x.kind);
  v.result.reduced = x.reduced;
  for (int i = 0; i < from.rank; ++i) {
    const int j = x[i].mask() & trivial ? detail::place_of(from, i, to) : -1;
    if (j >= 0) v.result[j] = detail::in_order_of(m, x[i], v.result[j]);
  }
  return v;
}

/// [..., N, ...] -> [..., outer, inner, ...] at dimension d; names of size 1 stay on the outer part. An inner extent
/// dyn is what is left, where that is known.
constexpr ReshapeVerdict split(const MeshValue& m, const SpecValue& x, int d, index_t n, index_t outer, index_t inner) {
  if (n != dyn && outer > 0 && inner == dyn) inner = n / outer;
  ShapeValue from, to;
  from.push(n), to.push(outer), to.push(inner);
  SpecValue line;
  line.rank = 1;
  line[0] = x[d].without(m.trivial());
  const ReshapeVerdict two = reshape_exactly(m, from, line, to);
  ReshapeVerdict v{two.fault, two.dimension < 0 ? -1 : d + two.dimension, x};
  for (int i = v.result.rank++; i > d + 1; --i) v.result[i] = x[i - 1];
  v.result[d + 1] = two.result[1];
  v.result[d] = detail::in_order_of(m, x[d], two.result[0]);
  return v;
}

/// [..., A, B, ...] -> [..., A * B, ...] at dimensions d and d + 1.
constexpr ReshapeVerdict merge(const MeshValue& m, const SpecValue& x, int d, index_t a, index_t b) {
  ShapeValue from, to;
  from.push(a), from.push(b), to.push(a == dyn || b == dyn ? dyn : a * b);
  SpecValue two;
  two.rank = 2;
  two[0] = x[d].without(m.trivial()), two[1] = x[d + 1].without(m.trivial());
  const ReshapeVerdict one = reshape_exactly(m, from, two, to);
  ReshapeVerdict v{one.fault, one.dimension < 0 ? -1 : d, x};
  DimAxes names = x[d];
  for (int i = 0; i < x[d + 1].count; ++i) names.push(x[d + 1][i]);
  v.result[d] = detail::in_order_of(m, names, one.result[0]);
  for (int i = d + 1; i + 1 < x.rank; ++i) v.result[i] = x[i + 1];
  v.result[--v.result.rank] = {};
  return v;
}

}  // namespace tess::rules
