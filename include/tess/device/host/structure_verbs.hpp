// Verbs of the Host device: copy and fill, which carry every structural operation; map_lines, functions of whole lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <memory>
#include <tuple>

#include "../../sharding/device_slice.hpp"
#include "../../sharding/sharded_tensor.hpp"
#include "../../tensor/line.hpp"
#include "strided_copy.hpp"

namespace tess::host {

namespace detail {

/// One operand of map_lines on one device: its lines along a dimension, which may be strided.
template <class T>
struct Lines {
  T* data = nullptr;
  index_t count = 0, stride = 1, first = 0;
  bool written = false;
  std::unique_ptr<std::remove_const_t<T>[]> buffer {};  // of one thread; none where lines are contiguous

  index_t offset(index_t line) const { return line / stride * stride * count + line % stride; }
  Line<T> open(index_t line) {
    if (stride == 1) return {data + offset(line), count, first};
    if (!buffer) buffer = std::make_unique<std::remove_const_t<T>[]>(static_cast<std::size_t>(count));
    if (!written)
      for (index_t i = 0; i < count; ++i) buffer[static_cast<std::size_t>(i)] = data[offset(line) + i * stride];
    return {buffer.get(), count, first};
  }
  void close(index_t line) {
    if constexpr (!std::is_const_v<T>)
      if (stride != 1)
        for (index_t i = 0; i < count; ++i) data[offset(line) + i * stride] = buffer[static_cast<std::size_t>(i)];
  }
};

template <AnyTensor X>
index_t lines_stride(const X& x, int dim) {
  index_t n = 1;
  for (int d = dim + 1; d < X::rank; ++d) n *= x.local_extent(d);
  return n;
}
template <class T, AnyTensor X>
Lines<T> lines_of(const X& x, int dim, index_t rank) {
  const index_t count = x.local_extent(dim);
  return {.data = x.storage().data(rank),
          .count = count,
          .stride = lines_stride(x, dim),
          .first = shard_index<typename X::mesh>(X::sharding[dim], rank) * count,
          .written = !std::is_const_v<T>};
}

}  // namespace detail

/// `Self` is the device: it has `pool()`.
template <class Self>
class StructureVerbs {
 public:
  /// Every element of y becomes `value`.
  template <AnyTensor Y>
  void fill(Y& y, const typename Y::value_type& value) {
    for (index_t r = 0; r < Y::mesh::size; ++r)
      pool().for_range(y.local_extents().size(), 16384, [&, out = y.storage().data(r)](index_t begin, index_t end) {
        std::fill(out + begin, out + end, value);
      });
  }

  /// The elements of `box_of(rank)` from the shard of x to that of y. Others of y stay as they are.
  template <AnyTensor Y, AnyTensor X, class BoxOf>
  void copy(Y& y, const X& x, const BoxOf& box_of) {
    using T = typename Y::value_type;
    for (index_t r = 0; r < Y::mesh::size; ++r)
      copy_strided<T>(pool(), box_of(r), x.storage().data(r), y.storage().data(r));
  }

  /// f(line of every y, line of every x) for all lines along dimension `dim`, in which alone the tensors may differ.
  template <class F, AnyTensor... Y, AnyTensor... X>
  void map_lines(F f, int dim, const std::tuple<Y&...>& y, const X&... x) {
    const auto& first = std::get<0>(y);
    using First = std::remove_cvref_t<decltype(first)>;
    const index_t width = first.local_extent(dim), lines = width ? first.local_extents().size() / width : 0;
    const index_t grain = std::max<index_t>(1, 4096 / std::max<index_t>(1, width));
    for (index_t r = 0; r < First::mesh::size; ++r)
      pool().for_range(lines, grain, [&](index_t begin, index_t end) {
        std::tuple<detail::Lines<const typename X::value_type>...> in{
            detail::lines_of<const typename X::value_type>(x, dim, r)...};
        std::apply(
            [&](auto&... out_tensor) {
              std::tuple out{detail::lines_of<typename std::remove_cvref_t<decltype(out_tensor)>::value_type>(
                  out_tensor, dim, r)...};
              for (index_t i = begin; i < end; ++i)
                std::apply(
                    [&](auto&... to) {
                      std::apply([&](auto&... from) { f(to.open(i)..., from.open(i)...); }, in);
                      (to.close(i), ...);
                    },
                    out);
            },
            y);
      });
  }

 private:
  ThreadPool& pool() { return static_cast<Self&>(*this).pool(); }
};

}  // namespace tess::host
