// The rule of reductions: a sum, maximum or minimum over a sharded dimension stays pending; others need whole lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "along.hpp"

namespace tess::rules {

/// What a reduction does with parts of a line: put together what devices find in theirs, or nothing.
enum class Fold : unsigned char {
  sum,   // sum, mean: parts add up
  max,   // max, any
  min,   // min, all
  whole  // prod, var, argmax, logsumexp, softmax, norms: of the whole line only
};

constexpr Reduction kind_of(Fold f) {
  return f == Fold::max ? Reduction::max : f == Fold::min ? Reduction::min : Reduction::sum;
}

enum class ReductionFault : unsigned char {
  none,
  dimension,   // there is no such dimension, or it is named twice
  of_pending,  // the operand is pending in a way that the reduction does not commute with
  not_whole,   // a line is spread over devices
};

struct ReductionVerdict {
  ReductionFault fault = ReductionFault::none;
  int dim = 0;  // which dimension is at fault
  SpecValue result{};
};

/// A list of dimensions as a mask. Of a list that is no set of dimensions: `wrong`, the first that does not exist or
/// comes twice.
struct Dims {
  unsigned mask = 0;
  int wrong = -1;
  bool ok = true;
};
constexpr Dims dims_of(int rank, const int* dims, int n) {
  Dims r;
  for (int i = 0; i < n; ++i) {
    if (dims[i] < 0 || dims[i] >= rank || (r.mask >> dims[i] & 1u)) return {r.mask, dims[i], false};
    r.mask |= 1u << dims[i];
  }
  return r;
}

/// x reduced over `dims`, which vanish, or stay with extent 1 if `keep`. The axes that sharded them stay pending.
///   sum over 1 of P<a, b> -> P<a, Partial<b>>        max over 1 of P<a, b> -> P<a, PartialMax<b>>
/// A pending sum may be summed further, a pending maximum maximised.
/// Source: jax/_src/lax/lax.py, _reduce_op_sharding_rule, where JAX finishes the sum without being asked.
constexpr ReductionVerdict reduction(const MeshValue& m, const SpecValue& x, unsigned dims, Fold fold, bool keep) {
  const bool pending = (x.partial & ~m.trivial()) != 0;
  if (pending && (fold == Fold::whole || x.kind != kind_of(fold))) return {ReductionFault::of_pending};
  if (fold == Fold::whole)
    if (const AlongVerdict v = along(m, x, dims, Acts::decides); v.fault != AlongFault::none)
      return {ReductionFault::not_whole, v.dimension};
  SpecValue y;
  unsigned parts = 0;
  for (int d = 0; d < x.rank; ++d) {
    if (!(dims >> d & 1u)) y[y.rank++] = x[d];
    else if (keep) ++y.rank;
    if (dims >> d & 1u) parts |= x[d].mask();
  }
  y.pend(fold == Fold::whole ? x.partial : x.partial | parts, kind_of(fold));
  y.reduced = x.reduced;
  return {ReductionFault::none, 0, y};
}

/// x laid out in `rank` dimensions, its dimension i as dimension to[i], and repeated along the others: no device lacks
/// anything. What is pending stays so: f(Σa) = Σ f(a), and the same of max and min.
/// Source: jax/_src/lax/lax.py, _broadcast_in_dim_sharding_rule.
constexpr SpecValue broadcast_in_dim(const SpecValue& x, int rank, const int* to) {
  SpecValue y = x;
  y.rank = rank;
  for (int d = 0; d < max_rank; ++d) y[d] = {};
  for (int i = 0; i < x.rank; ++i) y[to[i]] = x[i];
  return y;
}

}  // namespace tess::rules
