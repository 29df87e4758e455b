// The rule of products with summed dimensions: matmul, dot_general and einsum contract labelled dimensions.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "join.hpp"

namespace tess::rules {

/// The dimensions of one tensor by label, as in einsum: 'b', 't', 'k'.
struct DimLabels {
  int rank = 0;
  std::array<char, static_cast<std::size_t>(max_rank)> label{};

  constexpr char operator[](int d) const { return label[static_cast<std::size_t>(d)]; }
  constexpr void push(char c) {
    if (rank < max_rank) label[static_cast<std::size_t>(rank++)] = c;
  }
  /// The dimension with this label, or -1.
  constexpr int find(char c) const {
    for (int d = 0; d < rank; ++d)
      if ((*this)[d] == c) return d;
    return -1;
  }
};

enum class ContractionFault {
  none,
  both_pending,          // over one axis: the product of two sums is not the sum of products
  pending_is_no_sum,     // max(a, b) · w is not max(a · w, b · w)
  pending_axis_is_used,  // addends lie along `axis`, along which the other operand's shards differ
  sharded_differently,   // the two dimensions of one label
  axis_twice             // `axis` shards dimensions of two labels
};

struct ContractionVerdict {
  ContractionFault fault = ContractionFault::none;
  int lhs_dim = -1, rhs_dim = -1, axis = -1;
  SpecValue result{};
  SpecValue lhs{}, rhs{};  // how the operands are read: as they lie, or their own slices
};

namespace detail {
/// Where the axis shards an operand; -1: nowhere.
constexpr int dim_of(const SpecValue& s, int axis) {
  for (int d = 0; d < s.rank; ++d)
    if (s[d].mask() >> axis & 1u) return d;
  return -1;
}
constexpr int lowest(unsigned mask) {
  int a = 0;
  while (mask && !(mask >> a & 1u)) ++a;
  return a;
}
}  // namespace detail

/// result[out] = sum over all labels that are not in `out` of lhs[l] · rhs[r], every device with what it holds.
///   * The two dimensions of a label meet by `join`: one-sided sharding slices the other operand, which is free. Otherwise
///     the product would hide an exchange.
///   * An axis shards dimensions of one label only: else its devices hold rows and columns of different products.
///   * Axes of a summed label leave a pending sum over them. A product is linear in each operand: what is pending over an
///     axis stays so, if the other operand is finished and whole along it (spmd_types: P · R -> P). Of two sums pending
///     over different axes the devices hold all products of addends.
/// Axes of size 1 never refuse; where one would stand twice it stays in the first place.
constexpr ContractionVerdict contraction(const MeshValue& m, const SpecValue& lhs, const DimLabels& l,
                                         const SpecValue& rhs, const DimLabels& r, const DimLabels& out) {
  ContractionVerdict v;
  v.lhs = lhs, v.rhs = rhs;
  v.result.rank = out.rank;
  const unsigned real = ~m.trivial();
  const auto refuse = [&v](ContractionFault fault, int axis, int lhs_dim, int rhs_dim) {
    v.fault = fault, v.axis = axis, v.lhs_dim = lhs_dim, v.rhs_dim = rhs_dim;
    return v;
  };

  for (int d = 0; d < l.rank; ++d) {
    const int e = r.find(l[d]);
    if (e < 0) continue;
    const Joined both = join(m, lhs[d], rhs[e]);
    if (!both.exists) return refuse(ContractionFault::sharded_differently, -1, d, e);
    v.lhs[d] = v.rhs[e] = both.axes;
  }

  unsigned seen = 0, summed = 0;
  for (int i = 0; i < l.rank + r.rank; ++i) {
    const bool left = i < l.rank;
    const int d = left ? i : i - l.rank;
    const char label = left ? l[d] : r[d];
    if (!left && l.find(label) >= 0) continue;
    const DimAxes axes = left ? v.lhs[d] : v.rhs[d];
    if (const unsigned twice = axes.mask() & seen & real) {
      const int axis = detail::lowest(twice);
      return refuse(ContractionFault::axis_twice, axis, detail::dim_of(lhs, axis), detail::dim_of(rhs, axis));
    }
    const DimAxes kept = axes.without(seen);
    seen |= kept.mask();
    if (left) v.lhs[d] = kept;
    if (const int e = r.find(label); e >= 0) v.rhs[e] = kept;
    if (const int o = out.find(label); o >= 0) v.result[o] = kept;
    else summed |= kept.mask();
  }

  for (const SpecValue* s : {&lhs, &rhs}) {
    if (!(s->partial & real)) continue;
    if (s->kind != Reduction::sum) return refuse(ContractionFault::pending_is_no_sum, -1, -1, -1);
    if (const unsigned used = s->partial & seen & real) {
      const int axis = detail::lowest(used);
      return refuse(ContractionFault::pending_axis_is_used, axis, detail::dim_of(lhs, axis), detail::dim_of(rhs, axis));
    }
  }
  if (const unsigned both = lhs.partial & rhs.partial & real)
    return refuse(ContractionFault::both_pending, detail::lowest(both), -1, -1);
  v.result.pend((summed | lhs.partial | rhs.partial) & ~v.result.sharded());
  return v;
}

/// x [..., K] by w [K, N]: labels of matmul, the last dimension of x summed.
constexpr ContractionVerdict matmul(const MeshValue& m, const SpecValue& x, const SpecValue& w) {
  DimLabels l, r, out;
  for (int d = 0; d + 1 < x.rank; ++d) l.push(static_cast<char>('a' + d)), out.push(static_cast<char>('a' + d));
  l.push('k'), out.push('n');
  r.push('k'), r.push('n');
  return contraction(m, x, l, w, r, out);
}

}  // namespace tess::rules
