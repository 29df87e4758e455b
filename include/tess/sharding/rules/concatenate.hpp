// The rule of putting tensors together: beside the joined dimension they are sharded alike, or sliced.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "along.hpp"
#include "join.hpp"

namespace tess::rules {

enum class ConcatenateFault { none, sharded, sharded_differently, axis_twice, pending_differently, marked_differently };
struct ConcatenateVerdict {
  ConcatenateFault fault = ConcatenateFault::none;
  int operand = 0, dimension = -1;  // the first that does not fit
  SpecValue result{};               // of a refused operation a valid spec
};

namespace detail {
/// Joins x into `v.result` in the dimensions that are not in `apart`.
constexpr void join_into(const MeshValue& m, ConcatenateVerdict& v, const SpecValue& x, unsigned apart, int operand) {
  const unsigned real = ~m.trivial();
  const auto refuse = [&](ConcatenateFault fault, int dimension) {
    if (v.fault == ConcatenateFault::none) v.fault = fault, v.operand = operand, v.dimension = dimension;
  };
  for (int d = 0; d < x.rank; ++d) {
    if (apart >> d & 1u) continue;
    const Joined both = join(m, v.result[d], x[d]);
    if (both.exists) v.result[d] = both.axes;
    else refuse(ConcatenateFault::sharded_differently, d);
  }
  if ((v.result.partial ^ x.partial) & real || (x.partial & real && v.result.kind != x.kind))
    refuse(ConcatenateFault::pending_differently, -1);
  if ((v.result.reduced ^ x.reduced) & real) refuse(ConcatenateFault::marked_differently, -1);
}
/// Every axis once, in its first place; devices along an axis that shards two dimensions would hold other blocks.
constexpr void each_axis_once(const MeshValue& m, ConcatenateVerdict& v, int operand) {
  unsigned seen = v.result.partial;
  for (int d = 0; d < v.result.rank; ++d) {
    if (v.result[d].mask() & seen & ~m.trivial() && v.fault == ConcatenateFault::none)
      v.fault = ConcatenateFault::axis_twice, v.operand = operand, v.dimension = d;
    v.result[d] = v.result[d].without(seen);
    seen |= v.result[d].mask();
  }
  v.result.reduced &= ~v.result.sharded();
}
}  // namespace detail

/// x[0], x[1], ... one behind the other along dimension `at`, which must be whole in each (unless there is one only).
/// Beside it they meet by `join`: a replicated operand is sliced, which is free. Pending values must be pending over
/// the same axes: a finished operand among addends would be counted once a device. The same goes for the mark Reduced,
/// whose gradients are pending.
constexpr ConcatenateVerdict concatenate(const MeshValue& m, const SpecValue* x, int count, int at) {
  ConcatenateVerdict v;
  v.result = x[0];
  for (int i = 1; i < count; ++i) {
    detail::join_into(m, v, x[i], 1u << at, i);
    detail::each_axis_once(m, v, i);
  }
  for (int i = 0; i < count && count > 1; ++i)
    if (along(m, x[i], 1u << at).fault == AlongFault::sharded) {
      if (v.fault == ConcatenateFault::none) v.fault = ConcatenateFault::sharded, v.operand = i, v.dimension = at;
      v.result[at] = {};
    }
  return v;
}

/// x with the block `update` written over it at a place that only run time tells. In the dimensions `window`, where the
/// update is shorter, it must be whole: every device then has what falls into its own shard, so that x may be sharded
/// there. In the others they meet by `join`.
constexpr ConcatenateVerdict update_slice(const MeshValue& m, const SpecValue& x, const SpecValue& update,
                                          unsigned window) {
  ConcatenateVerdict v;
  v.result = x;
  detail::join_into(m, v, update, window, 1);
  detail::each_axis_once(m, v, 1);
  const AlongVerdict whole = along(m, update, window);
  if (v.fault == ConcatenateFault::none && whole.fault == AlongFault::sharded)
    v.fault = ConcatenateFault::sharded, v.operand = 1, v.dimension = whole.dimension;
  return v;
}
/// How the update is read: as the result, whole in the dimensions `window`.
constexpr SpecValue update_spec(const SpecValue& result, unsigned window) {
  SpecValue u = result;
  for (int d = 0; d < u.rank; ++d)
    if (window >> d & 1u) u[d] = {};
  return u;
}

}  // namespace tess::rules
