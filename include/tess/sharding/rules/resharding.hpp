// reshard's rule: every spec leads to every other, except that what stays pending keeps its kind.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../spec_value.hpp"

namespace tess::rules {

enum class ReshardFault {
  none,
  a_pending_value_keeps_its_kind,  // pending before and after over `axes`: a sum here, a maximum or minimum there
};
struct Resharding {
  ReshardFault fault = ReshardFault::none;
  unsigned axes = 0;
};

/// Over an axis of size 1 whole and pending are the same.
constexpr Resharding reshard(const MeshValue& m, const SpecValue& from, const SpecValue& to) {
  const SpecValue source = placement(m, from), target = placement(m, to);
  const unsigned stays = source.partial & target.partial;
  if (stays != 0 && source.kind != target.kind) return {ReshardFault::a_pending_value_keeps_its_kind, stays};
  return {};
}

}  // namespace tess::rules
