// The rule of everything that works along dimensions: elements change places only inside a dimension that is whole.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shape_value.hpp"

namespace tess::rules {

/// What an operation does to numbers, which decides whether it may act on the addends of a pending value one by one.
enum class Acts : unsigned char {
  moves,   // elements only change places: any pending value passes
  adds,    // linear: a pending sum passes, a pending maximum does not
  decides  // neither: sort, top_k, ...
};

enum class AlongFault { none, sharded, pending };
struct AlongVerdict {
  AlongFault fault = AlongFault::none;
  int dimension = -1;  // the sharded one
  SpecValue result{};  // of a refused operation, what it would be after the remedy
};

/// x -> an operation that moves elements along the dimensions in `dims` (one bit each) and along no others. The result
/// keeps x's spec. A dimension that is sharded over devices (an axis of size 1 is nothing) would need an exchange.
constexpr AlongVerdict along(const MeshValue& m, const SpecValue& x, unsigned dims, Acts acts = Acts::moves) {
  AlongVerdict v;
  v.result = x;
  const unsigned real = ~m.trivial();
  for (int d = 0; d < x.rank; ++d) {
    if (!(dims >> d & 1u) || !(x[d].mask() & real)) continue;
    if (v.fault == AlongFault::none) v.fault = AlongFault::sharded, v.dimension = d;
    v.result[d] = {};
  }
  const bool acts_on_addends = acts == Acts::moves || (acts == Acts::adds && x.kind == Reduction::sum);
  if (!acts_on_addends) {
    if (v.fault == AlongFault::none && x.partial & real) v.fault = AlongFault::pending;
    v.result.pend(0);
  }
  return v;
}

// Which dimensions an operation works along, and whether it acts on addends.

/// Elements start, start + stride, ... below limit of a dimension of extent n.
constexpr index_t slice_extent(index_t start, index_t limit, index_t stride) {
  return limit > start ? (limit - start + stride - 1) / stride : 0;
}

/// Does every one of `shards` find its part of the slice in its own part of the dimension? So x[1:3] of two shards
/// of 2.
constexpr bool slice_keeps_shards(index_t shards, index_t n, index_t start, index_t limit, index_t stride) {
  const index_t taken = slice_extent(start, limit, stride), mine = taken / shards, held = n / shards;
  if (taken == 0 || taken % shards != 0) return false;
  for (index_t p = 0; p < shards; ++p)
    if (start + p * mine * stride < p * held || start + (p * mine + mine - 1) * stride >= (p + 1) * held) return false;
  return true;
}
/// x[start : limit : stride] in every dimension, except where each shard finds its own part; a limit of dyn is the end.
constexpr unsigned sliced_dims(const MeshValue& m, const SpecValue& x, const ShapeValue& shape, const ShapeValue& start,
                               const ShapeValue& limit, const ShapeValue& stride) {
  unsigned dims = 0;
  for (int d = 0; d < shape.rank; ++d) {
    const index_t n = shape[d], end = limit[d] == dyn ? n : limit[d];
    const bool whole = start[d] == 0 && stride[d] == 1 && end == n && (n != dyn || limit[d] == dyn);
    const bool local = n != dyn && slice_keeps_shards(parts(m, x[d]), n, start[d], end, stride[d]);
    if (!whole && !local) dims |= 1u << d;
  }
  return dims;
}
/// A slice of these sizes whose start only run time tells. A size of the whole dimension leaves no choice.
constexpr unsigned window_dims(const ShapeValue& x, const ShapeValue& sizes) {
  unsigned dims = 0;
  for (int d = 0; d < x.rank; ++d)
    if (x[d] == dyn || sizes[d] != x[d]) dims |= 1u << d;
  return dims;
}
/// `low` elements before, `high` behind and `interior` between any two; negative ones are cut off.
struct Padding {
  index_t low = 0, high = 0, interior = 0;
  constexpr bool none() const { return low == 0 && high == 0 && interior == 0; }
  constexpr index_t extent(index_t n) const { return low + high + n + (n > 0 ? (n - 1) * interior : 0); }
};
/// Of `held` elements, the first at `at` and `step` apart, the first and the last inside [0, room).
struct Inside {
  index_t first = 0, last = -1;
};
constexpr Inside inside(index_t at, index_t held, index_t step, index_t room) {
  const index_t first = at < 0 ? (step - 1 - at) / step : 0, last = room > at ? (room - 1 - at) / step : -1;
  return {first, last < held ? last : held - 1};
}
/// Does every shard get its own elements and padding only? So one before and one behind of two shards of 1.
constexpr bool padding_keeps_shards(index_t shards, index_t n, const Padding& pad) {
  const index_t all = pad.extent(n), mine = all / shards, held = n / shards, step = pad.interior + 1;
  if (all <= 0 || all % shards != 0) return false;
  for (index_t p = 0; p < shards; ++p) {
    const index_t at = pad.low + p * held * step;  // of the shard's element 0
    const Inside kept = inside(at, held, step, all);
    if (kept.first > kept.last) continue;
    if (at + kept.first * step < p * mine || at + kept.last * step >= (p + 1) * mine) return false;
  }
  return true;
}
constexpr unsigned padded_dims(const MeshValue& m, const SpecValue& x, const ShapeValue& shape, const Padding* pad) {
  unsigned dims = 0;
  for (int d = 0; d < shape.rank; ++d)
    if (!pad[d].none() && (shape[d] == dyn || !padding_keeps_shards(parts(m, x[d]), shape[d], pad[d]))) dims |= 1u << d;
  return dims;
}
/// Padding with zeros adds nothing to a pending sum; other values would be added once a device. To a pending maximum
/// they do no harm.
constexpr Acts padding_acts(const SpecValue& x, bool zeros) {
  return zeros || x.kind != Reduction::sum ? Acts::moves : Acts::decides;
}

/// perm: dimension d of the result is dimension perm[d] of x. Never moves anything between devices.
constexpr SpecValue transpose(const SpecValue& x, const ShapeValue& perm) {
  SpecValue y = x;
  for (int d = 0; d < x.rank; ++d) y[d] = x[static_cast<int>(perm[d])];
  return y;
}
/// Without the dimensions in `dims`, each of extent 1, or of which one element is taken.
constexpr SpecValue drop(const SpecValue& x, unsigned dims) {
  SpecValue y = x;
  y.rank = 0;
  for (int d = 0; d < x.rank; ++d)
    if (!(dims >> d & 1u)) y[y.rank++] = x[d];
  for (int d = y.rank; d < x.rank; ++d) y[d] = {};
  return y;
}
/// With a new, unsharded dimension before dimension `at`.
constexpr SpecValue insert(const SpecValue& x, int at) {
  SpecValue y = x;
  for (int d = y.rank++; d > at; --d) y[d] = x[d - 1];
  y[at] = {};
  return y;
}

}  // namespace tess::rules
