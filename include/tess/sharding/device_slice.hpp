// device_slice: which elements of a tensor one device of the mesh holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shard_shape.hpp"

namespace tess {

/// Half-open range [begin, end) along one dimension.
struct Range {
  index_t begin = 0, end = 0;
  constexpr index_t size() const { return end - begin; }
  constexpr bool operator==(const Range&) const = default;
};

/// Position of a device's shard along a dimension: tuple order is major to minor,
/// ((c_a1 * |a2| + c_a2) * |a3| + ...) + c_ak. Source: jax/_src/named_sharding.py, ArrayMapping.
constexpr index_t shard_index(const MeshValue& m, const DimAxes& axes, index_t device) {
  index_t at = 0;
  for (int i = 0; i < axes.count; ++i) at = at * m.size(axes[i]) + m.coordinate(device, axes[i]);
  return at;
}
template <AnyMesh M>
constexpr index_t shard_index(const DimAxes& axes, index_t device) {
  return shard_index(mesh_value<M>, axes, device);
}

/// The slice of a tensor of `global` extents that `device` holds under Spec.
template <AnySpec Spec, AnyMesh M, AnyShape S>
constexpr std::array<Range, static_cast<std::size_t>(S::rank)> device_slice(const Extents<S>& global, index_t device) {
  static_assert(detail::sharding_fact<S, Spec, M>::ok);
  constexpr SpecValue spec = spec_value<Spec, M, S::rank>;
  const auto local = local_extents<Spec, M>(global);
  std::array<Range, static_cast<std::size_t>(S::rank)> slice{};
  for (int d = 0; d < S::rank; ++d) {
    const index_t begin = shard_index<M>(spec[d], device) * local[d];
    slice[static_cast<std::size_t>(d)] = {begin, begin + local[d]};
  }
  return slice;
}

}  // namespace tess
