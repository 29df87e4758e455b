// Parameters to GPUs and back: every shard once through pinned memory, to each GPU that has ranks with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "../shard_rows.hpp"
#include "base.hpp"
#include "owned_weights.hpp"

namespace tess::cuda {

namespace detail {

/// Writes a matrix through pinned memory to `to` of each GPU, rows `pitch` elements apart with zeros between them.
template <class T>
void upload_matrix(Base& dev, std::span<Gpu* const> gpus, const ShardRows<T>& from, index_t pitch,
                   std::span<void* const> to) {
  dev.staging().copy(from.rows, pitch * static_cast<index_t>(sizeof(T)), gpus, to,
                     [&](index_t first, index_t last, std::byte* out) {
                       T* const rows = reinterpret_cast<T*>(out);
                       from.write(first, last, rows, pitch);
                       if (pitch > from.columns)
                         for (index_t i = 1; i <= last - first; ++i)
                           std::fill(rows + (i - 1) * pitch + from.columns, rows + i * pitch, T{});
                     });
}
/// The same into memory of their own.
template <class T>
std::vector<std::shared_ptr<void>> upload_matrix(Base& dev, std::span<Gpu* const> gpus, const ShardRows<T>& from,
                                                 index_t pitch) {
  std::vector<std::shared_ptr<void>> memory;
  std::vector<void*> to;
  for (Gpu* g : gpus) {
    g->use();
    memory.push_back(g->memory().keep(from.rows * pitch * static_cast<index_t>(sizeof(T)), g->stream()));
    to.push_back(memory.back().get());
  }
  upload_matrix(dev, gpus, from, pitch, to);
  return memory;
}

/// One object for each rank that lives here: make(shard, gpus) gives one for each of those GPUs. `shard_of`: of each
/// rank, the number of its shard; equal numbers are equal contents.
template <class Object, class Make>
std::vector<Object> shards_by_rank(Base& dev, std::span<const std::size_t> shard_of, Make make) {
  const auto ranks = static_cast<index_t>(shard_of.size());
  dev.places().check(ranks);
  std::vector<Object> all(shard_of.size());
  for (std::size_t first = 0; first < all.size(); ++first) {
    if (all[first] || !dev.places().is_here(static_cast<index_t>(first))) continue;
    std::vector<Gpu*> gpus;
    const auto here = [&](auto f) {
      for (std::size_t r = first; r < all.size(); ++r)
        if (shard_of[r] == shard_of[first] && dev.places().is_here(static_cast<index_t>(r)))
          f(r, &dev.gpu_of(static_cast<index_t>(r), ranks));
    };
    here([&](std::size_t, Gpu* g) {
      if (std::find(gpus.begin(), gpus.end(), g) == gpus.end()) gpus.push_back(g);
    });
    const std::vector<Object> made = make(shard_of[first], std::span<Gpu* const>(gpus));
    here([&](std::size_t r, Gpu* g) {
      all[r] = made[static_cast<std::size_t>(std::find(gpus.begin(), gpus.end(), g) - gpus.begin())];
    });
  }
  return all;
}
}  // namespace detail

/// The shards of a plain tensor: source(shard) -> ShardRows<T> of all its elements.
template <class Source>
Shards upload_rows(Base& dev, std::span<const std::size_t> shard_of, Source source) {
  return detail::shards_by_rank<std::shared_ptr<void>>(dev, shard_of, [&](std::size_t s, std::span<Gpu* const> gpus) {
    const auto rows = source(s);
    return detail::upload_matrix(dev, gpus, rows, rows.columns);
  });
}

/// The shards of a parameter of products: source(shard) -> ShardWeights<E>.
template <class Source>
auto upload_weights(Base& dev, std::span<const std::size_t> shard_of, Source source) {
  using E = typename decltype(source(std::size_t{}))::element;
  using Shard = std::shared_ptr<const OwnedWeights<E>>;
  return detail::shards_by_rank<Shard>(dev, shard_of, [&](std::size_t s, std::span<Gpu* const> gpus) {
    const ShardWeights<E> from = source(s);
    std::vector<Shard> made;
    std::vector<void*> elements, scales;
    for (Gpu* g : gpus) {
      auto owned = blank_weights<E>(*g, from.count, from.rows(), from.elements.columns, true, from.group_rows,
                                    from.first_group_offset);
      elements.push_back(owned.elements.get()), scales.push_back(owned.scales.get());
      made.push_back(std::make_shared<const OwnedWeights<E>>(std::move(owned)));
    }
    const Weights<E>& w = made[0]->view;
    detail::upload_matrix(dev, gpus, from.elements, w.pitch, elements);
    if constexpr (Weights<E>::has_scales) detail::upload_matrix(dev, gpus, from.scales, w.scale_pitch, scales);
    return made;
  });
}

/// The shards of an embedding: source(shard) -> ShardTable.
template <class Source>
auto upload_table(Base& dev, std::span<const std::size_t> shard_of, Source source) {
  using Shard = std::shared_ptr<const OwnedEmbedding>;
  return detail::shards_by_rank<Shard>(dev, shard_of, [&](std::size_t s, std::span<Gpu* const> gpus) {
    const ShardTable from = source(s);
    OwnedEmbedding one;
    EmbeddingRows& t = one.view;
    t.vocabulary = from.rounded.rows, t.width = from.rounded.columns;
    t.pitch = round_up(t.width, 8);
    const auto rounded = detail::upload_matrix(dev, gpus, from.rounded, t.pitch);
    std::vector<std::shared_ptr<void>> rows(gpus.size());
    if (from.exact.write) rows = detail::upload_matrix(dev, gpus, from.exact, t.pitch);
    std::vector<Shard> made;
    for (std::size_t g = 0; g < gpus.size(); ++g) {
      one.rows = rows[g], one.rounded = rounded[g];
      t.rows = static_cast<const f32*>(one.rows.get()), t.rounded = static_cast<const bf16*>(one.rounded.get());
      made.push_back(std::make_shared<const OwnedEmbedding>(one));
    }
    return made;
  });
}

namespace detail {
/// A copy of `bytes` of GPU memory on the host.
inline std::shared_ptr<void> downloaded(Gpu& gpu, const void* from, index_t bytes) {
  const std::shared_ptr<std::byte[]> memory(new std::byte[static_cast<std::size_t>(std::max<index_t>(bytes, 1))]);
  if (bytes > 0) gpu.download(memory.get(), from, bytes);
  return {memory, memory.get()};
}
}  // namespace detail

/// Queues new elements for a tensor that every rank has all of. `elements` may change as soon as the call returns.
template <class T>
void overwrite_rows(Base& dev, const Storage<T>& storage, std::span<const T> elements) {
  const auto ranks = static_cast<index_t>(storage.shards().size());
  for (index_t r = 0; r < ranks; ++r)
    if (T* to = storage.data(r))
      dev.gpu_of(r, ranks).upload(to, elements.data(), static_cast<index_t>(elements.size_bytes()));
}

/// The elements of a rank's shard, which lives here.
template <class T>
void download_rows(Base& dev, const Storage<T>& storage, index_t rank, index_t count, T* out) {
  const auto ranks = static_cast<index_t>(storage.shards().size());
  if (count > 0) dev.gpu_of(rank, ranks).download(out, storage.data(rank), count * static_cast<index_t>(sizeof(T)));
}
/// The same matrices in memory of the host.
template <class E>
OwnedWeights<weight_element_t<E>> download_weights(Base& dev, const Storage<packed<E>>& storage, index_t rank,
                                                   index_t ranks) {
  using Stored = weight_element_t<E>;
  OwnedWeights<Stored> copy{storage.weights(rank), {}, {}};
  Weights<Stored>& w = copy.view;
  Gpu& gpu = dev.gpu_of(rank, ranks);
  copy.elements = detail::downloaded(gpu, w.data, w.count * w.rows * w.pitch * static_cast<index_t>(sizeof(Stored)));
  w.data = static_cast<const Stored*>(copy.elements.get());
  if constexpr (Weights<Stored>::has_scales) {
    copy.scales =
        detail::downloaded(gpu, w.scales, w.count * w.groups * w.scale_pitch * static_cast<index_t>(sizeof(bf16)));
    w.scales = static_cast<const bf16*>(copy.scales.get());
  }
  return copy;
}
template <class E>
OwnedEmbedding download_table(Base& dev, const Storage<table<E>>& storage, index_t rank, index_t ranks) {
  OwnedEmbedding copy{storage.embedding(rank), {}, {}};
  EmbeddingRows& t = copy.view;
  Gpu& gpu = dev.gpu_of(rank, ranks);
  const index_t n = t.vocabulary * t.pitch;
  copy.rounded = detail::downloaded(gpu, t.rounded, n * static_cast<index_t>(sizeof(bf16)));
  t.rounded = static_cast<const bf16*>(copy.rounded.get());
  if (t.rows) copy.rows = detail::downloaded(gpu, t.rows, n * static_cast<index_t>(sizeof(f32)));
  t.rows = static_cast<const f32*>(copy.rows.get());
  return copy;
}

}  // namespace tess::cuda
