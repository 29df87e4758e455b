// ShardSlices: which part of a tensor each device holds, as values, so that I/O is compiled once for all meshes.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "../sharding/device_slice.hpp"
#include "../sharding/sharded_tensor.hpp"

namespace tess::io {

struct ShardSlices {
  using Slice = std::vector<Range>;  // of each dimension
  std::vector<Slice> distinct;       // the different ones
  std::vector<index_t> holder;       // of each, the first device
  std::vector<std::size_t> of;       // of each device, which of the distinct ones

  ShardSlices(const MeshValue& mesh, const SpecValue& spec, std::span<const index_t> local) {
    for (index_t device = 0; device < mesh.devices(); ++device) {
      Slice slice;
      for (std::size_t d = 0; d < local.size(); ++d) {
        const index_t begin = shard_index(mesh, spec[static_cast<int>(d)], device) * local[d];
        slice.push_back({begin, begin + local[d]});
      }
      const auto at = std::find(distinct.begin(), distinct.end(), slice);
      of.push_back(static_cast<std::size_t>(at - distinct.begin()));
      if (at != distinct.end()) continue;
      distinct.push_back(std::move(slice));
      holder.push_back(device);
    }
  }
};

template <AnyTensor X>
ShardSlices slices_of(const X& x) {
  static_assert(X::rank > 0 && X::sharding.partial == 0, "[io] a parameter has dimensions, and no pending sum");
  return {mesh_value<typename X::mesh>, X::sharding, x.local_extents().array()};
}

/// The storage of all devices from make(slice), a shared_ptr, made once for each distinct slice; replicas share it.
template <class Make>
auto shards_of(const ShardSlices& slices, Make make) {
  std::vector<decltype(make(slices.distinct[0]))> made, shards;
  for (const auto& slice : slices.distinct) made.push_back(make(slice));
  for (const std::size_t i : slices.of) shards.push_back(made[i]);
  return shards;
}

}  // namespace tess::io
