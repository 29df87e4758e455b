// shard_bytes: the memory of one shard of a tensor, with the rows of scales that it touches.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "sharded_tensor.hpp"

namespace tess {

/// Rows of scales that a shard of `rows` out of K rows touches, at worst, where G groups of K / G rows have one each.
constexpr index_t scale_rows(index_t rows, index_t k, index_t groups) {
  if (rows == 0) return 0;
  const index_t in_group = k / groups;
  if (rows >= in_group) return (rows + in_group - 1) / in_group;
  return in_group % rows == 0 ? 1 : 2;
}

/// Bytes of one shard of x as one device holds it. `groups` counts where the type says q8<dyn>.
template <AnyTensor X>
constexpr index_t shard_bytes(const X& x, index_t groups = 1) {
  using E = unpacked_t<typename X::value_type>;
  const index_t size = x.local_extents().size();
  if constexpr (is_q8<E>) {
    static_assert(X::rank >= 2, "[dtype] int8 with grouped scales is for weights [..., K, N]");
    constexpr int k = X::rank - 2;
    const index_t rows = x.local_extent(k), g = E::groups == dyn ? groups : E::groups;
    return size == 0 ? 0 : size + size / rows * scale_rows(rows, x.extent(k), g) * static_cast<index_t>(sizeof(bf16));
  } else {
    return size * static_cast<index_t>(sizeof(E));
  }
}

}  // namespace tess
