// init_model: random parameters of the usual sizes, the same on every mesh; for measurements and new models.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../core/split_mix.hpp"
#include "fill.hpp"
#include "load_model.hpp"

namespace tess::io {

namespace detail {

/// A uniform number in [-1, 1) for every index.
inline f32 uniform_at(std::uint64_t seed, std::uint64_t index) {
  return static_cast<f32>(static_cast<std::int32_t>(split_mix(seed, index) >> 32)) * 0x1p-31f;
}

/// What a parameter begins with: `spread` times a uniform number plus `base`.
struct Start {
  f32 base = 0, spread = 0;
};
inline Start start_of(std::string_view path, bool is_matrix, index_t fan_in) {
  const f32 unit = std::sqrt(3.0f);  // a uniform number in [-1, 1) times this has variance 1
  if (path.ends_with("scale")) return {1, 0};
  if (path.ends_with("embeddings")) return {0, unit};
  return {0, is_matrix ? unit / std::sqrt(static_cast<f32>(std::max<index_t>(1, fan_in))) : 0};
}

template <class T>
void draw_run(const Start& start, std::uint64_t seed, index_t first, index_t step, index_t n, T* out) {
  for (index_t i = 0; i < n; ++i)
    out[i] = static_cast<T>(start.base + start.spread * uniform_at(seed, static_cast<std::uint64_t>(first + i * step)));
}

/// The shards of a parameter of this shape: element (i, j, ...) depends on its place in the whole alone.
template <class T, class D>
auto drawn_storage(D& dev, const std::vector<index_t>& shape, const ShardSlices& slices, const Start& start,
                   std::uint64_t seed) {
  using E = unpacked_t<T>;
  host::ThreadPool& pool = dev.pool();
  const Named whole{"", {""}, false, shape, lay_out(same, shape, ""), shape};
  const auto rows = [&](const ShardSlices::Slice& slice) {
    const auto runs = std::make_shared<const Runs>(whole, slice);
    return ShardRows<E>{runs->count, runs->length, [&, runs](index_t first, index_t last, E* out, index_t pitch) {
                          pool.for_range(last - first, 8, [&](index_t begin, index_t end) {
                            for (index_t i = begin; i < end; ++i)
                              draw_run(start, seed, (*runs)[first + i].at, runs->step, runs->length, out + i * pitch);
                          });
                        }};
  };
  const auto count = [](const ShardSlices::Slice& slice) { return slice.size() == 3 ? slice[0].size() : 1; };
  if constexpr (!is_packed<T>) {
    return place_rows<T>(dev, slices, rows);
  } else if constexpr (is_host<D>) {
    return host::Storage<T>(shards_of(slices, [&](const ShardSlices::Slice& slice) {
      std::vector<host::Packed<E>> matrices;
      const ShardRows<E> from = rows(slice);
      const index_t K = slice.end()[-2].size();
      for (index_t i = 0; i < count(slice); ++i) {
        host::Buffer plain(K * from.columns * static_cast<index_t>(sizeof(E)));
        from.write(i * K, (i + 1) * K, plain.as<E>(), from.columns);
        matrices.push_back(host::pack<E>(
            pool, host::Source<E>{plain.data(), from.columns * static_cast<index_t>(sizeof(E))}, K, from.columns));
      }
      return std::make_shared<const std::vector<host::Packed<E>>>(std::move(matrices));
    }));
  } else {
    return typename D::template storage<T>(upload_weights(dev, slices.of, [&](std::size_t shard) {
      const auto& slice = slices.distinct[shard];
      return ShardWeights<E>{count(slice), rows(slice)};
    }));
  }
}

template <AnyTensor X>
X drawn(typename X::device& dev, const std::vector<index_t>& shape, const Start& start, std::uint64_t seed) {
  using T = typename X::value_type;
  const auto extents = extents_of<typename X::shape>(shape);
  if constexpr (is_table<T> || is_q8<unpacked_t<T>>) {
    return filled<X>(dev, extents, [&](auto... at) {
      index_t i = 0, d = 0;
      ((i = i * shape[static_cast<std::size_t>(d++)] + at), ...);
      return start.base + start.spread * uniform_at(seed, static_cast<std::uint64_t>(i));
    });
  } else {
    X x(extents, {});
    x.storage() = drawn_storage<T>(dev, shape, slices_of(x), start, seed);
    return x;
  }
}

/// shape_of(path, x) is the whole shape of a parameter.
template <class D, class Model, class ShapeOf>
void init_parameters(D& dev, Model& model, std::uint64_t seed, ShapeOf shape_of) {
  model.parameters([&](const auto& scope, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    const std::string path = scope.path();
    const std::vector<index_t> shape = shape_of(path, x);
    const Start start = start_of(path, is_packed<typename X::value_type>, X::rank >= 2 ? shape.end()[-2] : 0);
    x = drawn<X>(dev, shape, start, ++seed * 0x2545f4914f6cdd1du);
  });
}
}  // namespace detail

/// Gives every parameter numbers drawn by `seed`: matrices [.., K, N] of variance 1 / K, embeddings of variance 1, norms
/// (".../scale") 1, all else, such as biases, 0. Numbers do not depend on the mesh. Every extent must be known.
template <class D, class Model>
void init_model(D& dev, Model& model, std::uint64_t seed) {
  detail::init_parameters(dev, model, seed, [](const std::string& path, const auto& x) {
    std::vector<index_t> shape;
    for (int d = 0; d < std::remove_reference_t<decltype(x)>::rank; ++d) {
      if (x.extent(d) < 1)
        fail("[init_model] ", path, ": dimension ", d, " has no extent yet: give a table of names, which says it.");
      shape.push_back(x.extent(d));
    }
    return shape;
  });
}

/// The same; extents that types leave open are those of the table.
/// Errors: no row for a parameter; a shape that does not agree with its type, or does not divide over the mesh.
template <class D, class Model>
void init_model(D& dev, Model& model, const Names& names, std::uint64_t seed) {
  detail::init_parameters(dev, model, seed, [&](const std::string& path, const auto& x) {
    return named_shape(names, path, x.extents().array());
  });
}

}  // namespace tess::io
