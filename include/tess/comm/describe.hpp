// describe: a plan in words, one line a step, with the bytes that it moves and the fewest that any could.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "../sharding/spec_text.hpp"
#include "plan.hpp"
#include "step_bill.hpp"

namespace tess {

namespace detail {

inline const char* collective_text(Collective c) {
  switch (c) {
    case Collective::slice:
      return "slice";
    case Collective::all_gather:
      return "all-gather";
    case Collective::all_to_all:
      return "all-to-all";
    case Collective::all_reduce:
      return "all-reduce";
    case Collective::reduce_scatter:
      return "reduce-scatter";
    case Collective::permute:
      return "permute";
    case Collective::exchange:
      return "exchange";
    case Collective::pend:
      return "pend";
  }
  return "";
}

/// "all-to-all over model: dimension 0 -> 1"
template <class M>
std::string step_text(const PlanStep& step) {
  std::string text = collective_text(step.what);
  if (step.axes.count > 0) text += " over " + axes_text<M>(step.axes);
  const auto dimension = [](int d) { return "dimension " + std::to_string(d); };
  switch (step.what) {
    case Collective::all_to_all:
      return text + ": " + dimension(step.from) + " -> " + std::to_string(step.to);
    case Collective::all_gather:
      return text + ": " + dimension(step.from);
    case Collective::slice:
    case Collective::reduce_scatter:
      return text + ": " + dimension(step.to);
    default:
      return text;
  }
}
inline std::string count_text(index_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}
/// "96 B in 3 messages, between hosts"
inline std::string bill_text(const StepBill& b) {
  if (b.messages == 0) return "no bytes";
  return std::to_string(b.bytes) + " B in " + count_text(b.messages, "message") +
         (b.between_hosts ? ", between hosts" : "");
}
}  // namespace detail

/// What `reshard` does to a tensor of these extents, e.g. of P(data, model) -> P(None, data) on a 2 x 4 mesh:
///
///   P(data, model) -> P(None, data), 128 B -> 512 B on each device
///   1. permute -> P(model:(1)2, (data, model:(2)2)): 128 B in 1 message
///   2. all-gather over model:(1)2: dimension 0 -> P(None, (data, model:(2)2)): 128 B in 1 message
///   ...
///   512 B in all to the busiest device, where some device lacks 512 B
///
/// Axes of which a step moves a part appear in parts: "model:(2)2" is the 2 after the first 2 of `model`.
template <AnyShape S, AnySpec From, AnySpec To, AnyMesh M, PlanPolicy Policy = FewestBytes, index_t ElementBytes = 4>
std::string describe(const Extents<S>& extents = {}) {
  using planned = detail::planned<S, From, To, M, Policy, ElementBytes>;
  using Fine = typename planned::mesh;
  constexpr Plan plan = planned::value;
  constexpr SpecValue from = spec_value<From, M, S::rank>, to = spec_value<To, M, S::rank>;
  AllExtents whole{};
  for (int d = 0; d < S::rank; ++d) whole[static_cast<std::size_t>(d)] = extents[d];
  const auto held = [&](const SpecValue& s) {
    return std::to_string(shard_box(mesh_value<M>, s, whole, 0).size() * ElementBytes) + " B";
  };

  std::string text =
      spec_text<M>(from) + " -> " + spec_text<M>(to) + ", " + held(from) + " -> " + held(to) + " on each device\n";
  index_t received = 0;
  SpecValue at = plan.source;
  for (int i = 0; i < plan.size; at = plan[i++].after) {
    const StepBill bill = step_bill(plan[i].what, plan.mesh, at, plan[i].after, whole, ElementBytes);
    received += bill.bytes;
    text += std::to_string(i + 1) + ". " + detail::step_text<Fine>(plan[i]) + " -> " + spec_text<Fine>(plan[i].after) +
            ": " + detail::bill_text(bill) + "\n";
  }
  if (plan.size == 0) return text + "the same placement: nothing moves\n";
  text += std::to_string(received) + " B in all to the busiest device";
  if (from.partial != to.partial) return text + "\n";
  index_t lacks = 0;
  for (index_t r = 0; r < M::size; ++r) {
    const index_t n = lacking_elements(mesh_value<M>, from, to, whole, r);
    lacks = n > lacks ? n : lacks;
  }
  return text + ", where some device lacks " + std::to_string(lacks * ElementBytes) + " B\n";
}

}  // namespace tess
