// load: a leaf of a checkpoint into a tensor, shard by shard, from the mapped file straight into the device's order.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../device/host.hpp"
#include "../sharding/device_slice.hpp"
#include "leaf.hpp"
#include "mapped_file.hpp"

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

/// Runs make(slice) once for every distinct slice of the mesh, so that replicas share memory.
template <AnyTensor X, class Make>
auto per_distinct_slice(const Extents<typename X::shape>& extents, Make make) {
  using Slice = std::array<Range, static_cast<std::size_t>(X::rank)>;
  using Shard = decltype(make(std::declval<const Slice&>()));
  std::map<std::vector<index_t>, Shard> made;
  std::vector<Shard> shards;
  for (index_t r = 0; r < X::mesh::size; ++r) {
    const Slice slice = device_slice<typename X::spec, typename X::mesh>(extents, r);
    std::vector<index_t> key;
    for (const Range& range : slice) key.push_back(range.begin);
    auto it = made.find(key);
    if (it == made.end()) it = made.emplace(key, make(slice)).first;
    shards.push_back(it->second);
  }
  return shards;
}

/// One matrix [rows k, columns n] of a leaf, packed; `matrix` counts the leading dimension (experts).
template <class E>
typename host::packed_matrix<E>::type pack_matrix(Host& dev, const Leaf& leaf, index_t matrix, Range k, Range n,
                                                  const std::string& name) {
  const ArrayView& w = leaf.weight;
  const index_t K = w.shape[w.shape.size() - 2], N = w.shape.back();
  const auto size = static_cast<index_t>(size_of(w.dtype));
  const std::byte* at = w.data.data() + ((matrix * K + k.begin) * N + n.begin) * size;
  if constexpr (is_q8<E>) {
    if (!leaf.scales)
      fail(name, ": expected int8 weights with bf16 scales (QuantizedWeight8bit), found a plain ", describe(w));
    const ArrayView& s = *leaf.scales;
    const index_t groups = s.shape[s.shape.size() - 2], group_rows = K / groups, first = k.begin / group_rows;
    if (E::groups != dyn && E::groups != groups)
      fail(name, ": the scales have ", groups, " groups along the contracted dimension, the configuration expects ",
           E::groups);
    return host::pack_q8(dev.pool(), host::Source<std::int8_t>{at, N}, k.size(), n.size(),
                         host::Source<bf16>{s.data.data() + ((matrix * groups + first) * N + n.begin) * 2, N * 2},
                         group_rows, k.begin % group_rows);
  } else {
    if (leaf.scales)
      fail(name, ": expected a plain ", describe(w), " without scales, found int8 weights; the configuration says f32");
    if (w.dtype == DType::f32) return host::pack<E>(dev.pool(), host::Source<f32>{at, N * size}, k.size(), n.size());
    if (w.dtype == DType::bf16) return host::pack<E>(dev.pool(), host::Source<bf16>{at, N * size}, k.size(), n.size());
    fail(name, ": expected f32 or bf16, found ", describe(w));
  }
}
}  // namespace detail

/// Fills `x` (packed, [K, N] or [E, K, N]) from a leaf: every shard's own slice, packed by all threads; replicas share
/// memory. Scales follow their weight whatever the mesh: a shard takes the scale rows of the groups that it touches.
/// Extents that the tensor already has must agree. Throws Error naming the parameter, expected and found.
template <class E, class S, class M, class P>
void load(Host& dev, ShardedTensor<packed<E>, S, M, P, Host>& x, const Leaf& leaf, const std::string& name) {
  using X = ShardedTensor<packed<E>, S, M, P, Host>;
  using Matrix = typename host::packed_matrix<E>::type;
  const auto extents = detail::checked_extents(x, leaf.weight, name);
  auto shards = detail::per_distinct_slice<X>(extents, [&](const auto& slice) {
    auto matrices = std::make_shared<std::vector<Matrix>>();
    const Range experts = X::rank == 3 ? slice[0] : Range{0, 1};
    for (index_t e = experts.begin; e < experts.end; ++e)
      matrices->push_back(detail::pack_matrix<E>(dev, leaf, e, slice[X::rank - 2], slice[X::rank - 1], name));
    return std::shared_ptr<const std::vector<Matrix>>(std::move(matrices));
  });
  x = X(extents, host::Storage<packed<E>>(std::move(shards)));
}

/// Fills an embedding [V, D]: packed as bf16 for the head; lookups of an f32 leaf read the mapped file, which stays
/// open.
template <class S, class M, class P>
void load(Host& dev, ShardedTensor<table<bf16>, S, M, P, Host>& x, const Leaf& leaf, const std::string& name) {
  using X = ShardedTensor<table<bf16>, S, M, P, Host>;
  const ArrayView& w = leaf.weight;
  const auto extents = detail::checked_extents(x, w, name);
  if (leaf.scales || (w.dtype != DType::f32 && w.dtype != DType::bf16))
    fail(name, ": expected f32 or bf16, found ", describe(w));
  const auto size = static_cast<index_t>(size_of(w.dtype));
  const index_t stride = extents[1] * size;
  auto shards = detail::per_distinct_slice<X>(extents, [&](const auto& slice) {
    const std::byte* at = w.data.data() + slice[0].begin * stride + slice[1].begin * size;
    auto t = std::make_shared<host::Table>();
    if (w.dtype == DType::f32) {
      t->columns = host::pack<bf16>(dev.pool(), host::Source<f32, true>{at, stride}, slice[1].size(), slice[0].size());
      t->rows = at, t->stride = stride, t->owner = w.owner;
    } else {
      t->columns = host::pack<bf16>(dev.pool(), host::Source<bf16, true>{at, stride}, slice[1].size(), slice[0].size());
    }
    return std::shared_ptr<const host::Table>(std::move(t));
  });
  MappedFile::forget(w.owner);  // lookups touch few of its pages again
  x = X(extents, host::Storage<table<bf16>>(std::move(shards)));
}

/// Fills a plain f32 tensor of rank 1, e.g. the scale of a norm.
template <class S, class M, class P>
void load(Host& dev, ShardedTensor<f32, S, M, P, Host>& x, const Leaf& leaf, const std::string& name) {
  using X = ShardedTensor<f32, S, M, P, Host>;
  static_assert(X::rank == 1, "[load] plain parameters are vectors; matrices are packed");
  const auto extents = detail::checked_extents(x, leaf.weight, name);
  if (leaf.weight.dtype != DType::f32 || leaf.scales) fail(name, ": expected f32, found ", describe(leaf.weight));
  X y = make<X>(dev, extents);
  for (index_t r = 0; r < M::size; ++r) {
    const Range range = device_slice<typename X::spec, M>(extents, r)[0];
    std::memcpy(y.storage().data(r), leaf.weight.data.data() + range.begin * 4,
                static_cast<std::size_t>(range.size()) * 4);
  }
  x = y;
}

}  // namespace tess::io
