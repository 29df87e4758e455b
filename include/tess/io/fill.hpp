// fill and to_vector: the numbers of a tensor from a function of the global indices, and back, whatever the mesh.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "load.hpp"
#include "transfer.hpp"

namespace tess::io {

namespace detail {

/// Calls f(indices..., linear) for every element of a row-major array, with the given offset added to the indices.
template <std::size_t Rank, class F>
void each_index(const std::array<index_t, Rank>& extents, const std::array<Range, Rank>& slice, F f) {
  index_t n = 1;
  for (const index_t e : extents) n *= e;
  std::array<index_t, Rank> at{};
  for (std::size_t d = 0; d < Rank; ++d) at[d] = slice[d].begin;
  for (index_t i = 0; i < n; ++i) {
    std::apply([&](auto... indices) { f(i, indices...); }, at);
    for (std::size_t d = Rank; d-- > 0;) {
      if (++at[d] < slice[d].end) break;
      at[d] = slice[d].begin;
    }
  }
}

template <std::size_t Rank>
std::array<Range, Rank> everything(const std::array<index_t, Rank>& extents) {
  std::array<Range, Rank> all;
  for (std::size_t d = 0; d < Rank; ++d) all[d] = {0, extents[d]};
  return all;
}

/// int8 weights with `groups` bf16 scales a column: the largest number of a group becomes ±127. Rounded to nearest.
inline Leaf quantized(const std::vector<index_t>& shape, const std::vector<f32>& values, index_t groups) {
  const index_t K = shape[shape.size() - 2], N = shape.back(), rows = K / groups;
  std::vector<index_t> scales_shape = shape;
  scales_shape[shape.size() - 2] = groups;
  std::vector<std::int8_t> weight(values.size());
  std::vector<bf16> scales(values.size() / static_cast<std::size_t>(rows));
  for (std::size_t s = 0; s < scales.size(); ++s) {
    const std::size_t group = s / static_cast<std::size_t>(N),
                      first = group * static_cast<std::size_t>(rows * N) + s % static_cast<std::size_t>(N);
    const auto at = [&](index_t k) { return first + static_cast<std::size_t>(k * N); };
    f32 largest = 0;
    for (index_t k = 0; k < rows; ++k) largest = std::max(largest, std::abs(values[at(k)]));
    scales[s] = bf16(largest / 127);
    for (index_t k = 0; k < rows && largest > 0; ++k)
      weight[at(k)] = static_cast<std::int8_t>(std::clamp(std::nearbyint(values[at(k)] / scales[s]), -127.0f, 127.0f));
  }
  return {array_of(DType::i8, shape, std::move(weight)), array_of(DType::bf16, scales_shape, std::move(scales))};
}

template <class T, class V>
T element(V value) {
  if constexpr (std::is_same_v<T, bf16>) return bf16(static_cast<f32>(value));
  else return static_cast<T>(value);
}

template <AnyTensor X, class F>
X filled(typename X::device& dev, const Extents<typename X::shape>& extents, F f) {
  using T = typename X::value_type;
  constexpr auto rank = static_cast<std::size_t>(X::rank);
  if constexpr (is_packed<T> || is_table<T>) {
    std::vector<f32> values(static_cast<std::size_t>(extents.size()));
    each_index<rank>(extents.array(), everything(extents.array()),
                     [&](index_t i, auto... at) { values[static_cast<std::size_t>(i)] = static_cast<f32>(f(at...)); });
    const std::vector<index_t> shape(extents.array().begin(), extents.array().end());
    X x(extents, {});
    Leaf leaf;
    if constexpr (is_q8<unpacked_t<T>>) {
      constexpr index_t groups = unpacked_t<T>::groups == dyn ? 1 : unpacked_t<T>::groups;
      if (shape[rank - 2] % groups != 0)
        fail("[fill] ", groups, " scale groups do not divide ", shape[rank - 2], " rows");
      leaf = quantized(shape, values, groups);
    } else {
      leaf.weight = array_of(DType::f32, shape, std::move(values));
    }
    load(dev, x, leaf, "[fill]");
    return x;
  } else {
    using M = typename X::mesh;
    X x(extents, {});
    const auto write = [&](index_t r, T* out) {
      bool adds = true;  // of a pending sum, the devices at coordinate 0 hold the value and the others zero
      for (int a = 0; a < M::rank; ++a) adds = adds && !(X::sharding.partial >> a & 1u && M::coordinate(r, a) != 0);
      each_index<rank>(x.local_extents().array(), device_slice<typename X::spec, M>(extents, r),
                       [&](index_t i, auto... at) { out[i] = adds ? element<T>(f(at...)) : T{}; });
    };
    if constexpr (is_host<typename X::device>) {
      x = make<X>(dev, extents);
      for (index_t r = 0; r < M::size; ++r) write(r, x.storage().data(r));
    } else {
      x.storage() = place_rows_of_each<T>(dev, M::size, [&](index_t r) {
        return ShardRows<T>{1, x.local_extents().size(),
                            [&write, r](index_t, index_t, T* out, index_t) { write(r, out); }};
      });
    }
    return x;
  }
}
}  // namespace detail

/// Gives every element of x the value f(i, j, ...) of its indices in the whole tensor, rounded to x's element type.
/// Parameters are packed as the device's kernels read them; for q8<G> they are quantised, one scale for each column of
/// a group of rows. So `model.parameters([&](const nn::Scope&, auto& w) { fill(dev, w, f); })` initialises a whole
/// model. Extents that are dyn must be known to x, or be given. Throws Error where they do not divide over the mesh.
template <AnyTensor X, class F>
void fill(typename X::device& dev, X& x, F f) {
  for (int d = 0; d < X::rank; ++d)
    if (tess::detail::static_extent<typename X::shape>(d) == dyn && x.extent(d) == 0)
      fail("[fill] dimension ", d,
           " has no extent yet: pass Extents, as in fill(dev, x, Extents<Shape<dyn, 8>>(4), f)");
  x = detail::filled<X>(dev, x.extents(), f);
}
template <AnyTensor X, class F>
void fill(typename X::device& dev, X& x, const Extents<typename X::shape>& extents, F f) {
  x = detail::filled<X>(dev, extents, f);
}

/// The whole tensor in C order, as on one device: shards put together, pending sums added up. Moves no byte of the
/// program's; for output and tests. Parameters give the f32 values that the kernels multiply with.
template <AnyTensor X>
auto to_vector(const X& x) {
  static_assert(is_host<typename X::device>, "[to_vector] name the device: to_vector(dev, x)");
  using T = typename X::value_type;
  using M = typename X::mesh;
  using Out = std::conditional_t<is_packed<T>, f32, T>;
  constexpr auto rank = static_cast<std::size_t>(X::rank);
  static_assert(!is_table<T>, "[to_vector] the rows of a table are read with take()");
  std::vector<Out> all(static_cast<std::size_t>(x.extents().size()));
  for (index_t r = 0; r < M::size; ++r) {
    bool first = true;  // of its replicas
    for (int a = 0; a < M::rank; ++a) first = first && (X::sharding.used() >> a & 1u || M::coordinate(r, a) == 0);
    if (!first) continue;
    detail::each_index<rank>(
        x.local_extents().array(), device_slice<typename X::spec, M>(x.extents(), r), [&](index_t i, auto... at) {
          index_t global = 0;
          int d = 0;
          ((global = global * x.extent(d++) + at), ...);
          Out& out = all[static_cast<std::size_t>(global)];
          if constexpr (is_packed<T>) {
            const index_t K = x.local_extent(X::rank - 2), N = x.local_extent(X::rank - 1);
            out = host::unpack(x.storage().matrices(r)[static_cast<std::size_t>(i / (K * N))], i / N % K, i % N);
          } else if constexpr (X::sharding.partial != 0) {
            out = Out(out + x.storage().data(r)[i]);
          } else {
            out = x.storage().data(r)[i];
          }
        });
  }
  return all;
}

/// The same of a tensor on any device.
template <AnyTensor X>
auto to_vector(typename X::device& dev, const X& x) {
  return to_vector(on_host(dev, x));
}

}  // namespace tess::io
