// transfer: a tensor of a device with memory of its own on Host, and back, bit for bit; for output, saving and tests.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "place.hpp"

namespace tess::io {

/// X on another device.
template <AnyTensor X, class D>
using with_device = ShardedTensor<typename X::value_type, typename X::shape, typename X::mesh, typename X::spec, D>;

namespace detail {

/// make(rank) once for each shard number, at the first of its ranks that lives in this process.
template <class D, class Make>
auto each_shard_here(D& dev, const std::vector<std::size_t>& shard_of, Make make) {
  std::vector<decltype(make(index_t{}))> all(shard_of.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (!dev.places().is_here(static_cast<index_t>(r)) || all[r]) continue;
    const auto made = make(static_cast<index_t>(r));
    for (std::size_t other = 0; other < all.size(); ++other)
      if (shard_of[other] == shard_of[r]) all[other] = made;
  }
  for (const auto& shard : all)
    if (!shard) fail("[io] a part of this tensor lives in another process; read it where one process drives all GPUs");
  return all;
}

/// Every shard of a device's own; of those with the same elements, one.
template <AnyTensor X>
std::vector<std::size_t> shard_numbers(const X& x) {
  if constexpr (X::rank > 0 && X::sharding.partial == 0) {
    return slices_of(x).of;
  } else {
    std::vector<std::size_t> each(static_cast<std::size_t>(X::mesh::size));
    std::iota(each.begin(), each.end(), std::size_t{0});
    return each;
  }
}

template <class E, class Owned>
auto packed_on_host(host::ThreadPool& pool, const Owned& owned) {
  using Matrix = typename host::packed_matrix<E>::type;
  using Element = typename Matrix::element;
  const auto& w = owned.view;
  const auto bytes = [](const auto* at) { return reinterpret_cast<const std::byte*>(at); };
  const host::Source<Element> source{nullptr, w.pitch * static_cast<index_t>(sizeof(Element))};
  auto matrices = std::make_shared<std::vector<Matrix>>();
  for (index_t i = 0; i < w.count; ++i) {
    const host::Source<Element> from{bytes(w.matrix(i)), source.stride};
    if constexpr (Matrix::has_scales)
      matrices->push_back(host::pack_q8(pool, from, w.rows, w.columns,
                                        host::Source<bf16>{bytes(w.scales_of(i)), w.scale_pitch * 2}, w.group_rows,
                                        w.first_group_offset));
    else matrices->push_back(host::pack<Element>(pool, from, w.rows, w.columns));
  }
  return std::shared_ptr<const std::vector<Matrix>>(std::move(matrices));
}

template <class Owned>
std::shared_ptr<const host::Table> table_on_host(host::ThreadPool& pool, Owned owned) {
  const auto& rows = owned.view;
  auto t = std::make_shared<host::Table>();
  t->columns =
      host::pack<bf16>(pool, host::Source<bf16, true>{reinterpret_cast<const std::byte*>(rows.rounded), rows.pitch * 2},
                       rows.width, rows.vocabulary);
  if (rows.rows) {
    t->rows = reinterpret_cast<const std::byte*>(rows.rows), t->stride = rows.pitch * 4;
    t->owner = std::move(owned.rows);
  }
  return t;
}

/// The elements of packed matrices as they lie there: int8, without their scales.
template <class E>
ShardRows<E> rows_of(const std::vector<host::Packed<E>>& matrices) {
  const index_t K = matrices[0].rows(), N = matrices[0].columns();
  return {static_cast<index_t>(matrices.size()) * K, N,
          [&matrices, K, N](index_t first, index_t last, E* out, index_t pitch) {
            for (index_t i = first; i < last; ++i) {
              const auto& w = matrices[static_cast<std::size_t>(i / K)];
              const host::Block& block = host::detail::block_of(w, i % K);
              for (index_t n = 0; n < N; ++n) {
                const std::byte* at = w.panel(0) + host::detail::element_offset(w, block, i % K, n);
                E& to = out[(i - first) * pitch + n];
                if constexpr (host::Packed<E>::has_scales) to = static_cast<E>(static_cast<int>(*at) - 128);
                else std::memcpy(&to, at, sizeof(E));
              }
            }
          }};
}
template <class E>
ShardWeights<E> weights_of(const std::vector<host::Packed<E>>& matrices) {
  ShardWeights<E> w{static_cast<index_t>(matrices.size()), rows_of(matrices)};
  if constexpr (host::Packed<E>::has_scales) {
    const index_t groups = matrices[0].groups(), N = matrices[0].columns();
    w.group_rows = matrices[0].group_rows(), w.first_group_offset = matrices[0].first_group_offset();
    w.scales = {w.count * groups, N, [&matrices, groups, N](index_t first, index_t last, bf16* out, index_t pitch) {
                  for (index_t i = first; i < last; ++i)
                    for (index_t n = 0; n < N; ++n)
                      out[(i - first) * pitch + n] = matrices[static_cast<std::size_t>(i / groups)].scales(
                          n / host::panel_columns, i % groups)[n % host::panel_columns];
                }};
  }
  return w;
}
inline ShardTable table_of(const host::Table& t) {
  const index_t V = t.columns.columns(), D = t.columns.rows();
  ShardTable s;
  s.rounded = {V, D, [&t](index_t first, index_t last, bf16* out, index_t pitch) {
                 for (index_t v = first; v < last; ++v) host::unpack_column(t.columns, v, out + (v - first) * pitch);
               }};
  if (t.rows)
    s.exact = {V, D, [&t](index_t first, index_t last, f32* out, index_t pitch) {
                 for (index_t v = first; v < last; ++v) t.copy_row(v, out + (v - first) * pitch);
               }};
  return s;
}
}  // namespace detail

/// The tensor on Host: x itself, or a copy. Throws Error where a part of it lives in another process.
template <AnyTensor X>
with_device<X, Host> on_host(typename X::device& dev, const X& x) {
  using T = typename X::value_type;
  if constexpr (is_host<typename X::device>) {
    return x;
  } else {
    const auto shard_of = detail::shard_numbers(x);
    constexpr index_t ranks = X::mesh::size;
    with_device<X, Host> y(x.extents(), {});
    if (x.storage().empty()) return y;
    if constexpr (is_packed<T>) {
      y.storage() = host::Storage<T>(detail::each_shard_here(dev, shard_of, [&](index_t r) {
        return detail::packed_on_host<unpacked_t<T>>(dev.pool(), download_weights(dev, x.storage(), r, ranks));
      }));
    } else if constexpr (is_table<T>) {
      y.storage() = host::Storage<T>(detail::each_shard_here(dev, shard_of, [&](index_t r) {
        return detail::table_on_host(dev.pool(), download_table(dev, x.storage(), r, ranks));
      }));
    } else {
      const index_t n = x.local_extents().size();
      y.storage() = host::Storage<T>(detail::each_shard_here(dev, shard_of, [&](index_t r) {
        auto shard = host::zeroed_shards(1, n * static_cast<index_t>(sizeof(T)))[0];
        download_rows(dev, x.storage(), r, n, static_cast<T*>(shard.get()));
        return shard;
      }));
    }
    return y;
  }
}

/// The same, but replicas are not taken on trust: of a plain tensor each device's own shard is copied.
template <AnyTensor X>
with_device<X, Host> on_each_host(typename X::device& dev, const X& x) {
  using T = typename X::value_type;
  static_assert(!is_packed<T> && !is_table<T>, "[io] parameters have no replicas of their own");
  with_device<X, Host> y(x.extents(), host::Storage<T>(host::zeroed_shards(
                                          X::mesh::size, x.local_extents().size() * static_cast<index_t>(sizeof(T)))));
  for (index_t r = 0; r < X::mesh::size; ++r)
    download_rows(dev, x.storage(), r, x.local_extents().size(), y.storage().data(r));
  return y;
}

/// The tensor of Host on another device: what each device holds goes to the same device there.
template <class D, AnyTensor X>
with_device<X, D> on_device(D& dev, const X& x) {
  using T = typename X::value_type;
  using Y = with_device<X, D>;
  if constexpr (is_host<D>) {
    return x;
  } else {
    Y y(x.extents(), {});
    if (x.storage().empty()) return y;
    const auto holder = [&](const ShardSlices& slices, std::size_t shard) { return slices.holder[shard]; };
    if constexpr (is_packed<T>) {
      const ShardSlices slices = slices_of(x);
      y.storage() = typename Y::storage_type(upload_weights(dev, slices.of, [&](std::size_t shard) {
        return detail::weights_of(x.storage().matrices(holder(slices, shard)));
      }));
    } else if constexpr (is_table<T>) {
      const ShardSlices slices = slices_of(x);
      y.storage() = typename Y::storage_type(upload_table(dev, slices.of, [&](std::size_t shard) {
        return detail::table_of(x.storage().table_of(holder(slices, shard)));
      }));
    } else {
      const index_t n = x.local_extents().size();
      y.storage() = place_rows_of_each<T>(dev, X::mesh::size, [&](index_t r) {
        return ShardRows<T>{
            1, n, [&x, r, n](index_t, index_t, T* out, index_t) { std::copy_n(x.storage().data(r), n, out); }};
      });
    }
    return y;
  }
}

}  // namespace tess::io
