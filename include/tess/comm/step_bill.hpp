// The bill of one step of a plan: what the busiest device receives, in how many messages, over which axes.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/sharded_tensor.hpp"
#include "movement.hpp"
#include "plan_sizes.hpp"
#include "refine.hpp"

namespace tess {

/// One step, for the algorithms that `Host` runs: everybody in a group sends to everybody who lacks something.
struct StepBill {
  Collective kind = Collective::slice;
  unsigned axes = 0;     // positions of the mesh over which it runs
  index_t devices = 1;   // in a group
  index_t messages = 0;  // received by the busiest device
  index_t bytes = 0;     // received by the busiest device
  index_t total = 0;     // bytes received by all devices together
  bool between_hosts = false;

  constexpr bool operator==(const StepBill&) const = default;
};

namespace detail {
/// The axes that stand elsewhere after a step than before.
constexpr unsigned moved_axes(const MeshValue& m, const SpecValue& from, const SpecValue& to) {
  unsigned moved = from.partial ^ to.partial;
  for (int d = 0; d < from.rank; ++d)
    for (int i = 0; i < from[d].count || i < to[d].count; ++i)
      if (i >= from[d].count || i >= to[d].count || from[d][i] != to[d][i]) {
        if (i < from[d].count) moved |= 1u << from[d][i];
        if (i < to[d].count) moved |= 1u << to[d][i];
      }
  return moved & ~m.trivial();
}
}  // namespace detail

/// The bill of a step from one spec to the next, of a tensor with these extents and elements of so many bytes.
constexpr StepBill step_bill(Collective kind, const MeshValue& m, const SpecValue& from, const SpecValue& to,
                             const AllExtents& whole, index_t element_bytes) {
  StepBill b;
  b.kind = kind;
  b.axes = detail::moved_axes(m, from, to);
  index_t local = 1;
  for (int d = 0; d < from.rank; ++d) local *= whole[static_cast<std::size_t>(d)] / parts(m, from[d]);
  for (int a = 0; a < m.rank; ++a)
    if (b.axes >> a & 1u) b.devices *= m.size(a);
  b.between_hosts = (b.axes & m.between_hosts) != 0;
  const index_t all = m.devices();
  if (!moves_bytes(kind)) return b;
  if (kind == Collective::permute || kind == Collective::exchange) {
    index_t most = 0;
    for (index_t r = 0; r < all; ++r) {
      const index_t n = lacking_elements(m, from, to, whole, r);
      most = n > most ? n : most, b.total += n * element_bytes;
    }
    PlanProblem sizes;
    sizes.mesh = m, sizes.source = from, sizes.target = to, sizes.extents = whole;
    b.bytes = most * element_bytes;
    b.messages = kind == Collective::permute ? 1
                                             : detail::peers(detail::PlanSizes(sizes), detail::layout_of(from),
                                                             detail::layout_of(to), from.rank);
    return b;
  }
  b.messages = (kind == Collective::all_reduce ? 2 : 1) * (b.devices - 1);
  b.bytes = received_elements(kind, local, b.devices) * element_bytes;
  // What an all-reduce's uneven chunks leave out, everybody lacks once: twice the shard less what each keeps.
  b.total =
      kind == Collective::all_reduce ? all / b.devices * 2 * local * (b.devices - 1) * element_bytes : all * b.bytes;
  return b;
}

/// The same of a step between two tensors. `axes` are positions of the user's mesh, also where the plan's is refined.
template <class Step, AnyTensor Y, AnyTensor X>
constexpr StepBill step_bill(Step, const Y&, const X& x) {
  AllExtents whole{};
  for (int d = 0; d < X::rank; ++d) whole[static_cast<std::size_t>(d)] = x.extent(d);
  StepBill b = step_bill(Step::kind, mesh_value<typename X::mesh>, X::sharding, Y::sharding, whole,
                         static_cast<index_t>(sizeof(typename X::value_type)));
  b.axes = detail::unrefined<typename X::mesh>::mask(b.axes);
  return b;
}

}  // namespace tess
