// Where the Host device keeps shards: aligned buffers that are reused, and packed weights that are shared.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <vector>

#include "../../sharding/sharded_tensor.hpp"
#include "packed.hpp"

namespace tess::host {

/// Recycles the buffers of activations, so that a step of a model neither calls malloc nor touches fresh pages.
class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool() {
    for (auto& [bytes, block] : free_) std::free(block);
  }

  /// 64-byte aligned, not cleared.
  void* take(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (auto it = free_.find(bytes); it != free_.end()) {
        void* block = it->second;
        free_.erase(it);
        return block;
      }
    }
    void* block = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!block) throw std::bad_alloc();
    return block;
  }
  void give_back(std::size_t bytes, void* block) {
    constexpr std::size_t kept = 64;  // blocks; enough for the widest step, bounded for varying prompt lengths
    const std::lock_guard lock(mutex_);
    if (free_.size() < kept) free_.emplace(bytes, block);
    else std::free(block);
  }

 private:
  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
};

/// One block of bytes for each rank; whoever holds a copy keeps them. Functions of bytes alone, so that a program with
/// many tensor types compiles them once.
using Shards = std::vector<std::shared_ptr<void>>;

/// Not cleared; the blocks go back to the pool.
inline Shards pooled_shards(const std::shared_ptr<BufferPool>& pool, index_t ranks, index_t bytes) {
  const auto size = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
  Shards shards(static_cast<std::size_t>(ranks));
  for (auto& s : shards) s = {pool->take(size), [pool, size](void* block) { pool->give_back(size, block); }};
  return shards;
}
/// Zero. Pages that nobody has written take no memory: calloc gets large blocks from the system, lazily.
inline Shards zeroed_shards(index_t ranks, index_t bytes) {
  Shards shards(static_cast<std::size_t>(ranks));
  for (auto& s : shards) {
    s = {std::calloc(static_cast<std::size_t>(bytes > 0 ? bytes : 1), 1), std::free};
    if (!s) throw std::bad_alloc();
  }
  return shards;
}

/// The packed form of a weight matrix of element type E.
template <class E>
struct packed_matrix;
template <>
struct packed_matrix<f32> {
  using type = PackedF32;
};
template <>
struct packed_matrix<bf16> {
  using type = PackedBf16;
};
template <index_t G>
struct packed_matrix<q8<G>> {
  using type = PackedQ8;
};

/// The shards of one tensor, one for each rank that lives in this process. Copies share them.
template <class T>
class Storage {
 public:
  Storage() = default;
  explicit Storage(Shards shards) : shards_(std::move(shards)) {}
  T* data(index_t rank) const { return static_cast<T*>(shards_[static_cast<std::size_t>(rank)].get()); }
  bool empty() const { return shards_.empty(); }

 private:
  Shards shards_;
};

/// A parameter `[K, N]` is one packed matrix a shard; `[E, K, N]` is E of them. Shards with equal contents are one
/// object.
template <class E>
class Storage<packed<E>> {
 public:
  using Matrix = typename packed_matrix<E>::type;
  Storage() = default;
  explicit Storage(std::vector<std::shared_ptr<const std::vector<Matrix>>> shards) : shards_(std::move(shards)) {}
  const std::vector<Matrix>& matrices(index_t rank) const { return *shards_[static_cast<std::size_t>(rank)]; }
  bool empty() const { return shards_.empty(); }
  /// Groups of rows that share a scale, in a whole matrix of K rows; 1 where there are no scales.
  index_t scale_groups(index_t K) const {
    if constexpr (Matrix::has_scales)
      if (!empty() && !matrices(0).empty()) return K / matrices(0)[0].group_rows();
    return 1;
  }

 private:
  std::vector<std::shared_ptr<const std::vector<Matrix>>> shards_;
};

/// One shard of an embedding: packed for the head, and where its rows lie in the checkpoint that is still mapped.
struct Table {
  PackedBf16 columns;               // [D, V]
  const std::byte* rows = nullptr;  // [V, D] f32 at any address; nullptr: take them from `columns`
  index_t stride = 0;               // bytes from row to row
  std::shared_ptr<const void> owner;

  /// Row v, in f32.
  void copy_row(index_t v, f32* out) const {
    if (rows) std::memcpy(out, rows + v * stride, static_cast<std::size_t>(columns.rows()) * sizeof(f32));
    else unpack_column(columns, v, out);
  }
};

template <class E>
class Storage<table<E>> {
 public:
  Storage() = default;
  explicit Storage(std::vector<std::shared_ptr<const Table>> shards) : shards_(std::move(shards)) {}
  const Table& table_of(index_t rank) const { return *shards_[static_cast<std::size_t>(rank)]; }
  bool empty() const { return shards_.empty(); }
  bool has_exact_rows() const { return !empty() && table_of(0).rows; }  // in f32, as the checkpoint has them

 private:
  std::vector<std::shared_ptr<const Table>> shards_;
};

}  // namespace tess::host
