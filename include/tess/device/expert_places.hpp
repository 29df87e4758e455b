// ExpertPlaces: which experts a device holds, and which devices hold an expert, when experts lie over mesh axes.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../comm/movement.hpp"

namespace tess {

/// `experts` experts in equal runs over the axes `axes`. Tokens travel along those of them in `sent`, which shard the
/// tokens; along the others every device has the same tokens.
struct ExpertPlaces {
  MeshValue mesh{};
  DimAxes axes{};
  unsigned sent = 0;
  index_t experts = 0;

  /// Experts of one device.
  constexpr index_t own() const { return experts / parts(mesh, axes); }
  /// The first expert of a device.
  constexpr index_t first(index_t device) const { return shard_index(mesh, axes, device) * own(); }
  /// Devices among which a token travels.
  constexpr index_t group() const {
    index_t n = 1;
    for (int a = 0; a < mesh.rank; ++a)
      if (sent >> a & 1u) n *= mesh.size(a);
    return n;
  }
  /// Where a device stands in its group.
  constexpr index_t place(index_t device) const { return detail::number_over(mesh, sent, device); }
  /// The device at `place` in the group of `device`.
  constexpr index_t member(index_t device, index_t place) const {
    return detail::renumbered(mesh, sent, device, place);
  }
  /// The place in the group of `device` that holds an expert; -1 when it lies with devices that have the same tokens.
  constexpr index_t holder(index_t device, index_t expert) const {
    const index_t at = detail::at_shard(mesh, axes, device, expert / own());
    return member(device, place(at)) == at ? place(at) : -1;
  }
  constexpr bool between_hosts() const {
    for (int a = 0; a < mesh.rank; ++a)
      if (sent >> a & 1u && mesh.size(a) > 1 && mesh.between_hosts >> a & 1u) return true;
    return false;
  }
};

}  // namespace tess
