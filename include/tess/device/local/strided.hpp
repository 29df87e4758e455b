// Strided arrays: the part of a shard that a device reads, and loops over it in any order of dimensions.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"

/// What the verbs of all devices that compute know of shards: extents, strides, windows. No device is in it.
namespace tess::local {

/// One index, extent or stride a dimension; the first `rank` count.
using Ranks = std::array<index_t, static_cast<std::size_t>(max_rank)>;

/// A window into a local row-major array: where it begins, how far it goes, and the strides of the whole.
struct Window {
  int rank = 0;
  index_t begin = 0;
  Ranks extent{}, stride{};

  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[static_cast<std::size_t>(d)];
    return n;
  }
};

/// What `device` reads of its shard of x when the operation takes x as `read`, which is x's own sharding or finer.
template <AnyTensor X>
Window window(const X& x, const SpecValue& read, index_t device) {
  using M = typename X::mesh;
  Window w;
  w.rank = X::rank;
  index_t stride = 1;
  for (int d = X::rank - 1; d >= 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    w.extent[i] = x.extent(d) / parts<M>(read[d]);
    w.stride[i] = stride;
    const index_t first = shard_index<M>(read[d], device) * w.extent[i];
    w.begin += (first - shard_index<M>(X::sharding[d], device) * x.local_extent(d)) * stride;
    stride *= x.local_extent(d);
  }
  return w;
}

/// Offset of element `i` (counted row-major over `extent`) in an array with these strides.
constexpr index_t offset_of(index_t i, int rank, const Ranks& extent, const Ranks& stride) {
  index_t at = 0;
  for (int d = rank - 1; d > 0; --d) {
    const auto k = static_cast<std::size_t>(d);
    at += i % extent[k] * stride[k];
    i /= extent[k];
  }
  return rank > 0 ? at + i * stride[0] : 0;
}

/// An operand seen with the extents of the result: elements that stretch have stride 0.
template <class T>
struct Strided {
  const T* data = nullptr;
  Ranks stride{};
};

template <AnyShape L>
constexpr Ranks ranks(const Extents<L>& e) {
  Ranks r{};
  for (int d = 0; d < L::rank; ++d) r[static_cast<std::size_t>(d)] = e[d];
  return r;
}

/// What `device` reads of x for its shard of y: its own slice where y is the finer, stride 0 where x stretches.
template <AnyTensor Y, AnyTensor X>
Strided<typename X::value_type> operand(const X& x, index_t device) {
  constexpr int ahead = Y::rank - X::rank;
  SpecValue read = X::sharding;
  for (int d = 0; d < X::rank; ++d)
    if (detail::static_extent<typename X::shape>(d) != 1) read[d] = Y::sharding[d + ahead];
  const Window w = window(x, read, device);
  Strided<typename X::value_type> s{x.storage().data(device) + w.begin, {}};
  for (int d = 0; d < X::rank; ++d)
    s.stride[static_cast<std::size_t>(d) + static_cast<std::size_t>(ahead)] =
        detail::static_extent<typename X::shape>(d) == 1 ? 0 : w.stride[static_cast<std::size_t>(d)];
  return s;
}

}  // namespace tess::local
