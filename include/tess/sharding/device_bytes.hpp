// device_bytes: what the shard of one device takes, to the byte, with exactly the rows of scales that it touches.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "device_slice.hpp"
#include "sharded_tensor.hpp"

namespace tess {

/// Bytes of the shard of x on `device`. Grouped int8 counts the scales of every group that the shard has a row of;
/// `groups` says how many there are where the type says q8<dyn>.
template <AnyTensor X>
constexpr index_t device_bytes(const X& x, index_t device, [[maybe_unused]] index_t groups = 1) {
  using E = unpacked_t<typename X::value_type>;
  const index_t size = x.local_extents().size();
  if constexpr (is_q8<E>) {
    const Range k = device_slice<typename X::spec, typename X::mesh>(x.extents(), device)[X::rank - 2];
    const index_t g = E::groups == dyn ? groups : E::groups, rows = x.extent(X::rank - 2) / g;
    if (size == 0) return 0;
    const index_t touched = (k.end - 1) / rows - k.begin / rows + 1;
    return size + size / k.size() * touched * static_cast<index_t>(sizeof(bf16));
  } else {
    return size * static_cast<index_t>(sizeof(E));
  }
}

}  // namespace tess
