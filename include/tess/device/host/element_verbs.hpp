// The verbs of elementwise operations and reductions on the CPU: shard by shard, in parallel over rows and lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "element_kernels.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// Mixed into Host, which has the threads.
template <class Device>
class ElementVerbs {
 public:
  /// y = f(x...), where operands stretch or are sliced.
  template <class F, AnyTensor Y, AnyTensor... X>
  void map_broadcast(F f, Y& y, const X&... x) {
    const Ranks extent = ranks(y.local_extents());
    const index_t width = Y::rank > 0 ? y.local_extent(Y::rank - 1) : 1;
    const index_t rows = width ? y.local_extents().size() / width : 0;
    for (index_t r = 0; r < Y::mesh::size; ++r)
      in_parallel(rows, width, [&](index_t begin, index_t end) {
        map_rows(f, y.storage().data(r), Y::rank, extent, begin, end, operand<Y>(x, r)...);
      });
  }

  /// y = f of the lines of x along `dims`, of the part of each that a device holds.
  template <class F, AnyTensor Y, AnyTensor X>
  void reduce_lines(F f, Y& y, const X& x, unsigned dims) {
    const Ranks extent = ranks(x.local_extents());
    const index_t lines = y.local_extents().size();
    const index_t length = lines ? x.local_extents().size() / lines : 0;
    for (index_t r = 0; r < Y::mesh::size; ++r)
      in_parallel(lines, length, [&](index_t begin, index_t end) {
        host::reduce_lines(f, y.storage().data(r), x.storage().data(r), X::rank, extent, dims, begin, end);
      });
  }

  /// y[i, j, …] = f({i, j, …}), indices of the whole tensor.
  template <class F, AnyTensor Y>
  void fill_by_index(F f, Y& y) {
    for (index_t r = 0; r < Y::mesh::size; ++r) {
      Ranks first{}, index{};
      for (int d = 0; d < Y::rank; ++d)
        first[static_cast<std::size_t>(d)] = shard_index<typename Y::mesh>(Y::sharding[d], r) * y.local_extent(d);
      for (index_t i = 0; i < y.local_extents().size(); ++i) {
        index_t rest = i;
        for (int d = Y::rank - 1; d >= 0; --d) {
          const auto k = static_cast<std::size_t>(d);
          index[k] = first[k] + rest % y.local_extent(d);
          rest /= y.local_extent(d);
        }
        y.storage().data(r)[i] = rounded_to<typename Y::value_type>(f(index));
      }
    }
  }

 private:
  template <class F>
  void in_parallel(index_t count, index_t elements_each, F f) {
    constexpr index_t grain = 8192;  // elements: what waking a thread costs
    static_cast<Device&>(*this).pool().for_range(count,
                                                 std::max<index_t>(1, grain / std::max<index_t>(1, elements_each)), f);
  }
};

}  // namespace tess::host
