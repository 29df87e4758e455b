// Links: what a message and a byte cost on the wires of a machine, by which the planner chooses.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <concepts>

#include "../core/types.hpp"

namespace tess {

/// The α-β model of one kind of wire, in ticks of any one unit: T = message · messages + byte · bytes.
/// (Hockney's model; for collectives see Chan et al. 2007, doi 10.1002/cpe.1206.)
struct Link {
  index_t message = 0, byte = 0;
};

/// The wires within a host and between hosts, and what a step costs whatever it moves.
struct Links {
  Link within{}, between{};
  index_t call = 0;       // to start a collective
  index_t exchange = 0;   // what an irregular exchange costs beyond a collective of the same messages and bytes
  bool exchanges = true;  // false: collectives only, whatever they cost
};

/// What chooses a plan: a type with `links`, so that it can stand in a type.
template <class P>
concept PlanPolicy = requires {
  { P::links } -> std::convertible_to<Links>;
};

/// The default: as few bytes as can be. Among equals fewer bytes between hosts (each weighs 16 millionths more), collectives
/// before exchanges, fewer steps, fewer messages.
struct FewestBytes {
  static constexpr index_t byte = index_t{1} << 20;
  static constexpr Links links{{1, byte}, {2, byte + 16}, 1 << 14, 1 << 18, true};
};
/// The same without exchanges, for machines whose collectives are all they have.
struct CollectivesOnly {
  static constexpr Links links{FewestBytes::links.within, FewestBytes::links.between, FewestBytes::links.call, 0,
                               false};
};

}  // namespace tess
