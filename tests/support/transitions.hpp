// Reshards over plain values: thousands of plans are carried out on a simulated mesh without a type for each.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <vector>

#include <tess/comm/plan.hpp>
#include <tess/comm/step_bill.hpp>
#include <tess/device/host/exchange.hpp>

namespace support {

using namespace tess;

/// The shards of all devices; elements are integers, so that every sum is exact.
using Shards = std::vector<std::vector<std::int64_t>>;

/// What element `g` is on the devices whose coordinates over the pending axes make the number `addend`.
inline std::int64_t element(index_t g, index_t addend) {
  const auto mixed = static_cast<std::uint64_t>(g * 1000003 + addend * 7919) * 0x9e3779b97f4a7c15u;
  return addend == 0 ? g : static_cast<std::int64_t>(mixed >> 40);
}

/// f(local offset, global offset) for every element of a box, row-major.
template <class F>
void for_each_in(const Box& box, const AllExtents& whole, F f) {
  for (index_t local = 0; local < box.size(); ++local) {
    index_t rest = local, global = 0, stride = 1;
    for (int d = box.rank - 1; d >= 0; --d) {
      global += (box[d].begin + rest % box[d].size()) * stride;
      rest /= box[d].size();
      stride *= whole[static_cast<std::size_t>(d)];
    }
    f(static_cast<std::size_t>(local), global);
  }
}

/// A tensor of the given extents under a spec: element identities, of pending values one set an addend.
inline Shards filled(const PlanProblem& p) {
  Shards all(static_cast<std::size_t>(p.mesh.devices()));
  for (index_t r = 0; r < p.mesh.devices(); ++r) {
    const Box box = shard_box(p.mesh, p.source, p.extents, r);
    const index_t addend = tess::detail::number_over(p.mesh, p.source.partial, r);
    auto& mine = all[static_cast<std::size_t>(r)];
    mine.resize(static_cast<std::size_t>(box.size()));
    for_each_in(box, p.extents, [&](std::size_t local, index_t g) { mine[local] = element(g, addend); });
  }
  return all;
}

inline std::int64_t together(Reduction kind, std::int64_t v, std::int64_t w) {
  return kind == Reduction::sum ? v + w : kind == Reduction::max ? std::max(v, w) : std::min(v, w);
}

/// Wrong elements among all elements on all devices under the target; where values have become pending, of what they are
/// together.
inline index_t wrong_elements(const PlanProblem& p, const Shards& found) {
  index_t wrong = 0;
  const unsigned added = p.target.partial & ~p.source.partial;
  for (index_t r = 0; r < p.mesh.devices(); ++r) {
    const Box box = shard_box(p.mesh, p.target, p.extents, r);
    const auto& mine = found[static_cast<std::size_t>(r)];
    if (mine.size() != static_cast<std::size_t>(box.size())) return -1;
    if (tess::detail::number_over(p.mesh, added, r) != 0) continue;
    std::vector<index_t> addends;
    for (const index_t peer : host::detail::group_of(p.mesh, p.source.partial & ~p.target.partial, r))
      addends.push_back(tess::detail::number_over(p.mesh, p.source.partial, peer));
    for_each_in(box, p.extents, [&](std::size_t local, index_t g) {
      std::int64_t v = element(g, addends[0]);
      for (std::size_t i = 1; i < addends.size(); ++i) v = together(p.source.kind, v, element(g, addends[i]));
      std::int64_t ours = mine[local];
      for (const index_t peer : host::detail::group_of(p.mesh, added, r))
        if (peer != r) ours = together(p.target.kind, ours, found[static_cast<std::size_t>(peer)][local]);
      wrong += ours != v;
    });
  }
  return wrong;
}

/// What a plan has done, and what it had promised.
struct Outcome {
  Shards shards;
  index_t moved = 0, billed = 0;                // bytes of the busiest device of every step
  index_t moved_by_all = 0, billed_to_all = 0;  // bytes of all devices
  index_t peak = 0;                             // elements of the largest shard on the way
};

/// Carries out a plan on the elements of `before`, and adds up its bill.
inline Outcome carried_out(const Plan& plan, const PlanProblem& p, Shards before) {
  static host::ThreadPool pool(1);
  Outcome o;
  SpecValue from = plan.source;
  o.peak = shard_box(plan.mesh, from, p.extents, 0).size();
  for (int i = 0; i < plan.size; ++i) {
    const host::Transition t{plan[i].what, plan.mesh, from, plan[i].after, p.extents};
    const auto local = static_cast<std::size_t>(shard_box(t.mesh, t.to, t.whole, 0).size());
    Shards after(before.size(), std::vector<std::int64_t>(local, -1));
    host::Received received;
    host::carry_out(
        t, pool, [&](index_t r) { return after[static_cast<std::size_t>(r)].data(); },
        [&](index_t r) { return before[static_cast<std::size_t>(r)].data(); }, received);
    const StepBill bill = step_bill(t.what, t.mesh, t.from, t.to, t.whole, sizeof(std::int64_t));
    o.moved += *std::max_element(received.begin(), received.end());
    for (const index_t bytes : received) o.moved_by_all += bytes;
    o.billed += bill.bytes, o.billed_to_all += bill.total;
    o.peak = std::max(o.peak, static_cast<index_t>(local));
    before = std::move(after), from = plan[i].after;
  }
  o.shards = std::move(before);
  return o;
}

/// The bytes without which some device cannot have what it needs; by counting, for all devices.
inline index_t lower_bound(const PlanProblem& p) {
  index_t most = 0;
  for (index_t r = 0; r < p.mesh.devices(); ++r)
    most = std::max(most, lacking_elements(p.mesh, p.source, p.target, p.extents, r));
  return most * static_cast<index_t>(sizeof(std::int64_t));
}

/// The bill of a plan, without carrying it out.
inline index_t bytes_of_plan(const Plan& plan, const PlanProblem& p) {
  index_t bytes = 0;
  SpecValue from = plan.source;
  for (int i = 0; i < plan.size; from = plan[i++].after)
    bytes += step_bill(plan[i].what, plan.mesh, from, plan[i].after, p.extents, sizeof(std::int64_t)).bytes;
  return bytes;
}

}  // namespace support
