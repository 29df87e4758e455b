// load: a leaf of a checkpoint into a tensor, shard by shard, from the mapped file to where the device wants it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "leaf.hpp"
#include "mapped_file.hpp"
#include "place.hpp"

namespace tess::io {

namespace detail {

template <class S>
std::string shape_text(const Extents<S>& e) {
  return to_string(std::span<const index_t>(e.array()));
}

/// The leaf's shape as the tensor's extents; what the type already knows must agree.
template <AnyTensor X>
Extents<typename X::shape> checked_extents(const X& declared, const ArrayView& a, const std::string& name) {
  using S = typename X::shape;
  std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
  if (a.shape.size() != all.size())
    fail(name, ": expected ", static_cast<index_t>(S::rank), " dimensions, found ", describe(a));
  std::copy(a.shape.begin(), a.shape.end(), all.begin());
  for (int d = 0; d < S::rank; ++d) {
    const index_t expected = declared.extent(d);  // 0: a run-time extent that nobody has fixed
    if (expected != 0 && expected != a.shape[static_cast<std::size_t>(d)])
      fail(name, ": dimension ", d, " should be ", expected, ", found ", describe(a),
           "\nIs this the checkpoint of another configuration?");
  }
  return Extents<S>::from(all);
}

/// Throws where a weight of element type E is not what the leaf holds.
template <class E>
void check_weight(const Leaf& leaf, const std::string& name) {
  const ArrayView& w = leaf.weight;
  if constexpr (is_q8<E>) {
    if (!leaf.scales)
      fail(name, ": expected int8 weights with bf16 scales (QuantizedWeight8bit), found a plain ", describe(w));
    if (E::groups != dyn && E::groups != leaf.groups())
      fail(name, ": the scales have ", leaf.groups(),
           " groups along the contracted dimension, the configuration expects ", E::groups);
  } else {
    if (leaf.scales)
      fail(name, ": expected a plain ", describe(w), " without scales, found int8 weights; the configuration says f32");
    if (w.dtype != DType::f32 && w.dtype != DType::bf16) fail(name, ": expected f32 or bf16, found ", describe(w));
  }
}

/// One matrix [rows k, columns n] of a leaf, packed; `matrix` counts the leading dimension (experts).
template <class E>
typename host::packed_matrix<E>::type pack_matrix(host::ThreadPool& pool, const Leaf& leaf, index_t matrix, Range k,
                                                  Range n) {
  const ArrayView& w = leaf.weight;
  const index_t K = w.shape[w.shape.size() - 2], N = w.shape.back();
  const auto size = static_cast<index_t>(size_of(w.dtype));
  const std::byte* at = w.data.data() + ((matrix * K + k.begin) * N + n.begin) * size;
  if constexpr (is_q8<E>) {
    const index_t groups = leaf.groups(), group_rows = K / groups, first = k.begin / group_rows;
    return host::pack_q8(
        pool, host::Source<std::int8_t>{at, N}, k.size(), n.size(),
        host::Source<bf16>{leaf.scales->data.data() + ((matrix * groups + first) * N + n.begin) * 2, N * 2}, group_rows,
        k.begin % group_rows);
  } else {
    if (w.dtype == DType::f32) return host::pack<E>(pool, host::Source<f32>{at, N * size}, k.size(), n.size());
    return host::pack<E>(pool, host::Source<bf16>{at, N * size}, k.size(), n.size());
  }
}

/// The matrices `all` [rows k, columns n] of a leaf as they lie there.
template <class E>
ShardWeights<stored_element<E>> weights_of(host::ThreadPool& pool, const Leaf& leaf, Range all, Range k, Range n) {
  ShardWeights<stored_element<E>> w{all.size(), rows_of<stored_element<E>>(pool, leaf.weight, all, k, n)};
  if constexpr (is_q8<E>) {
    w.group_rows = leaf.weight.shape.end()[-2] / leaf.groups();
    w.first_group_offset = k.begin % w.group_rows;
    const Range groups{k.begin / w.group_rows, (k.end + w.group_rows - 1) / w.group_rows};
    w.scales = rows_of<bf16>(pool, *leaf.scales, all, groups, n);
  }
  return w;
}
}  // namespace detail

/// Fills `x` (packed, [K, N] or [E, K, N]) from a leaf: every shard's own slice, packed by all threads on Host, row by row
/// in the memory of a GPU; replicas share memory. Scales follow their weight whatever the mesh: a shard takes the scale
/// rows of the groups that it touches. Extents that the tensor already has must agree. Throws Error naming the
/// parameter, expected and found.
template <class E, class S, class M, class P, class D>
void load(std::type_identity_t<D>& dev, ShardedTensor<packed<E>, S, M, P, D>& x, const Leaf& leaf,
          const std::string& name) {
  using X = ShardedTensor<packed<E>, S, M, P, D>;
  X loaded(detail::checked_extents(x, leaf.weight, name), {});
  detail::check_weight<E>(leaf, name);
  const ShardSlices slices = slices_of(loaded);
  const auto experts = [](const ShardSlices::Slice& slice) { return slice.size() == 3 ? slice[0] : Range{0, 1}; };
  if constexpr (is_host<D>) {
    using Matrix = typename host::packed_matrix<E>::type;
    loaded.storage() = host::Storage<packed<E>>(shards_of(slices, [&](const ShardSlices::Slice& slice) {
      auto matrices = std::make_shared<std::vector<Matrix>>();
      for (index_t e = experts(slice).begin; e < experts(slice).end; ++e)
        matrices->push_back(detail::pack_matrix<E>(dev.pool(), leaf, e, slice.end()[-2], slice.end()[-1]));
      return std::shared_ptr<const std::vector<Matrix>>(std::move(matrices));
    }));
  } else {
    loaded.storage() = typename X::storage_type(upload_weights(dev, slices.of, [&](std::size_t shard) {
      const auto& slice = slices.distinct[shard];
      return detail::weights_of<E>(dev.pool(), leaf, experts(slice), slice.end()[-2], slice.end()[-1]);
    }));
  }
  x = std::move(loaded);
}

/// Fills an embedding [V, D], on Host packed as bf16 for the head; lookups of an f32 leaf read the mapped file there,
/// which stays open.
template <class S, class M, class P, class D>
void load(std::type_identity_t<D>& dev, ShardedTensor<table<bf16>, S, M, P, D>& x, const Leaf& leaf,
          const std::string& name) {
  using X = ShardedTensor<table<bf16>, S, M, P, D>;
  const ArrayView& w = leaf.weight;
  X loaded(detail::checked_extents(x, w, name), {});
  if (leaf.scales || (w.dtype != DType::f32 && w.dtype != DType::bf16))
    fail(name, ": expected f32 or bf16, found ", describe(w));
  const ShardSlices slices = slices_of(loaded);
  if constexpr (is_host<D>) {
    const auto size = static_cast<index_t>(size_of(w.dtype));
    const index_t stride = loaded.extent(1) * size;
    loaded.storage() = host::Storage<table<bf16>>(shards_of(slices, [&](const ShardSlices::Slice& slice) {
      const std::byte* at = w.data.data() + slice[0].begin * stride + slice[1].begin * size;
      auto t = std::make_shared<host::Table>();
      const index_t width = slice[1].size(), rows = slice[0].size();
      if (w.dtype == DType::f32) {
        t->columns = host::pack<bf16>(dev.pool(), host::Source<f32, true>{at, stride}, width, rows);
        t->rows = at, t->stride = stride, t->owner = w.owner;
      } else {
        t->columns = host::pack<bf16>(dev.pool(), host::Source<bf16, true>{at, stride}, width, rows);
      }
      return std::shared_ptr<const host::Table>(std::move(t));
    }));
  } else {
    loaded.storage() = typename X::storage_type(upload_table(dev, slices.of, [&](std::size_t shard) {
      const auto& slice = slices.distinct[shard];
      ShardTable t;
      if (w.dtype == DType::f32) t.exact = rows_of<f32>(dev.pool(), w, {0, 1}, slice[0], slice[1]);
      t.rounded = rows_of<bf16>(dev.pool(), w, {0, 1}, slice[0], slice[1]);
      return t;
    }));
  }
  MappedFile::forget(w.owner);  // lookups touch few of its pages again
  x = std::move(loaded);
}

/// Fills a plain f32 tensor of rank 1, e.g. the scale of a norm.
template <class S, class M, class P, class D>
void load(std::type_identity_t<D>& dev, ShardedTensor<f32, S, M, P, D>& x, const Leaf& leaf, const std::string& name) {
  using X = ShardedTensor<f32, S, M, P, D>;
  static_assert(X::rank == 1, "[load] plain parameters are vectors; matrices are packed");
  X loaded(detail::checked_extents(x, leaf.weight, name), {});
  if (leaf.weight.dtype != DType::f32 || leaf.scales) fail(name, ": expected f32, found ", describe(leaf.weight));
  loaded.storage() = place_rows<f32>(dev, slices_of(loaded), [&](const ShardSlices::Slice& slice) {
    return ShardRows<f32>{1, slice[0].size(), [&, slice](index_t, index_t, f32* out, index_t) {
                            copy_run(leaf.weight, slice[0].begin, slice[0].size(), out);
                          }};
  });
  x = std::move(loaded);
}

}  // namespace tess::io
