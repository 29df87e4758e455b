// place: shards that are read or made row by row, on a device: in memory of the host, or of the device's own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <vector>

#include "../device/host.hpp"
#include "../device/shard_rows.hpp"
#include "array.hpp"
#include "shard_slices.hpp"

namespace tess::io {

// A device D with memory of its own has, in its namespace, what cuda/upload.hpp has: upload_rows, upload_weights and
// upload_table, which take shards row by row; download_rows, download_weights and download_table.

template <class D>
inline constexpr bool is_host = std::is_base_of_v<Host, D>;

/// E in memory: int8 for q8<G>.
template <class E>
using stored_element = typename host::packed_matrix<E>::type::element;

/// The storage of plain elements T from rows(slice) -> ShardRows<T>. Replicas share theirs.
template <class T, class D, class Rows>
auto place_rows(D& dev, const ShardSlices& slices, Rows rows) {
  if constexpr (is_host<D>) {
    return host::Storage<T>(shards_of(slices, [&](const ShardSlices::Slice& slice) {
      const ShardRows<T> from = rows(slice);
      auto shard = host::zeroed_shards(1, from.rows * from.columns * static_cast<index_t>(sizeof(T)))[0];
      from.write(0, from.rows, static_cast<T*>(shard.get()), from.columns);
      return shard;
    }));
  } else {
    return typename D::template storage<T>(
        upload_rows(dev, slices.of, [&](std::size_t shard) { return rows(slices.distinct[shard]); }));
  }
}

/// The storage of a tensor whose devices' shards differ, replicas too: rows(rank) -> ShardRows<T>.
template <class T, class D, class Rows>
auto place_rows_of_each(D& dev, index_t ranks, Rows rows) {
  std::vector<std::size_t> each(static_cast<std::size_t>(ranks));
  std::iota(each.begin(), each.end(), std::size_t{0});
  return typename D::template storage<T>(
      upload_rows(dev, each, [&](std::size_t rank) { return rows(static_cast<index_t>(rank)); }));
}

/// out[i] = element at + i of the array, i < n: as it is, or f32 from bf16, or f32 rounded to bf16.
template <class T>
void copy_run(const ArrayView& a, index_t at, index_t n, T* out) {
  const std::byte* from = a.data.data() + at * static_cast<index_t>(size_of(a.dtype));
  const auto converted = [&]<class S>(S) {
    for (index_t i = 0; i < n; ++i)
      out[i] = static_cast<T>(detail::load<S>(from + i * static_cast<index_t>(sizeof(S))));
  };
  if constexpr (std::is_same_v<T, bf16>)
    if (a.dtype == DType::f32) return converted(f32{});
  if constexpr (std::is_same_v<T, f32>)
    if (a.dtype == DType::bf16) return converted(bf16{});
  std::memcpy(out, from, static_cast<std::size_t>(n) * sizeof(T));
}

/// The rows k and columns n of the matrices `all` of an array [.., K, N] in C order.
template <class T>
ShardRows<T> rows_of(host::ThreadPool& pool, const ArrayView& a, Range all, Range k, Range n) {
  return {all.size() * k.size(), n.size(), [=, &pool, &a](index_t first, index_t last, T* out, index_t pitch) {
            const index_t K = a.shape[a.shape.size() - 2], N = a.shape.back();
            const index_t grain = (index_t{1} << 16) / std::max<index_t>(1, n.size()) + 1;
            pool.for_range(last - first, grain, [&](index_t begin, index_t end) {
              for (index_t i = begin; i < end; ++i) {
                const index_t matrix = all.begin + (first + i) / k.size(), row = k.begin + (first + i) % k.size();
                copy_run(a, (matrix * K + row) * N + n.begin, n.size(), out + i * pitch);
              }
            });
          }};
}

}  // namespace tess::io
