// The rule of attention over a cache: queries find the keys of their own batch and of their own head beside them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../spec_value.hpp"

namespace tess::rules {

enum class AttentionFault {
  none,
  pending,              // an operand is no finished value
  sharded_differently,  // `dimension` of the two
  not_whole,            // `dimension` (sequence or width) is sharded
  heads_straddle,       // a device's query heads use parts of the groups of several key heads
};

struct AttentionVerdict {
  AttentionFault fault = AttentionFault::none;
  int dimension = -1;
};

/// Does `fine` name the axes of `coarse` and then only more minor ones? Then its shards lie within those of `coarse`.
constexpr bool refines(const DimAxes& fine, const DimAxes& coarse) {
  if (fine.count < coarse.count) return false;
  for (int i = 0; i < coarse.count; ++i)
    if (fine[i] != coarse[i]) return false;
  return true;
}

/// Query heads use key/value heads in groups of `group`; a device has `own` of them in a row. It needs whole groups, or
/// lies within one.
constexpr bool heads_are_uniform(index_t own, index_t group) { return own % group == 0 || group % own == 0; }

/// q [B, T, HQ, D] over keys (or values) [S, C, HK, D]: P<b, None, h, None> over P<b, None, h', None>, where h is h'
/// and perhaps more minor axes, over which the keys are then replicated. HQ and HK may be dyn. Axes of size 1 do not
/// matter.
/// Source: Ainslie et al., arXiv 2305.13245 (grouped queries); Pope et al., arXiv 2211.05102, section 3.3 (fewer key
/// heads than devices).
constexpr AttentionVerdict attention(const MeshValue& m, const SpecValue& q, const SpecValue& keys, index_t query_heads,
                                     index_t key_heads) {
  const SpecValue a = placement(m, q), b = placement(m, keys);
  if (a.partial || b.partial) return {AttentionFault::pending};
  if (!(a[0] == b[0])) return {AttentionFault::sharded_differently, 0};
  for (const int d : {1, 3})
    if (a[d].count > 0 || b[d].count > 0) return {AttentionFault::not_whole, d};
  if (!refines(a[2], b[2])) return {AttentionFault::sharded_differently, 2};
  if (query_heads == dyn || key_heads == dyn || query_heads % key_heads != 0) return {};
  if (!heads_are_uniform(query_heads / parts(m, a[2]), query_heads / key_heads))
    return {AttentionFault::heads_straddle, 2};
  return {};
}

/// The key/value heads of its own shard that a device uses: [first, first + count).
struct HeadRange {
  index_t first = 0, count = 0;
};

/// `own` query heads a device, in groups of `group`, on `device`.
constexpr HeadRange key_heads_of(const MeshValue& m, const SpecValue& q, const SpecValue& keys, index_t own,
                                 index_t group, index_t device) {
  const DimAxes fine = placement(m, q)[2], coarse = placement(m, keys)[2];
  index_t at = 0;  // among the devices that share the key heads
  for (int i = coarse.count; i < fine.count; ++i) at = at * m.size(fine[i]) + m.coordinate(device, fine[i]);
  return {at * own / group, own < group ? 1 : own / group};
}

}  // namespace tess::rules
