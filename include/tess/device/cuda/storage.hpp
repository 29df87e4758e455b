// Where the Cuda device keeps shards: one block of GPU memory for each rank that lives in this process.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <vector>

#include "../../sharding/sharded_tensor.hpp"
#include "weights.hpp"

namespace tess::cuda {

/// One block for each rank of the mesh; none for ranks that live in other processes.
using Shards = std::vector<std::shared_ptr<void>>;

/// The shards of one tensor. Copies share them. `data` gives addresses of GPU memory.
template <class T>
class Storage {
 public:
  Storage() = default;
  explicit Storage(Shards shards) : shards_(std::move(shards)) {}
  T* data(index_t rank) const { return static_cast<T*>(shards_[static_cast<std::size_t>(rank)].get()); }
  bool empty() const { return shards_.empty(); }
  const Shards& shards() const { return shards_; }

 private:
  Shards shards_;
};

/// The matrices of a rank, and the memory that they lie in.
template <class E>
struct OwnedWeights {
  Weights<E> view;
  std::shared_ptr<void> elements, scales;
};

/// A parameter `[K, N]` is one matrix a shard; `[E, K, N]` is E of them. Ranks of one GPU with equal shards share one object.
template <class E>
class Storage<packed<E>> {
 public:
  using Element = weight_element_t<E>;
  using Shard = std::shared_ptr<const OwnedWeights<Element>>;
  Storage() = default;
  explicit Storage(std::vector<Shard> shards) : shards_(std::move(shards)) {}
  const Weights<Element>& weights(index_t rank) const { return shards_[static_cast<std::size_t>(rank)]->view; }
  bool has(index_t rank) const { return shards_[static_cast<std::size_t>(rank)] != nullptr; }
  bool empty() const { return shards_.empty(); }
  /// Groups of rows that share a scale, in a whole matrix of K rows; 1 where there are no scales.
  index_t scale_groups(index_t K) const {
    if constexpr (Weights<Element>::has_scales)
      for (const Shard& s : shards_)
        if (s && s->view.group_rows > 0) return K / s->view.group_rows;
    return 1;
  }

 private:
  std::vector<Shard> shards_;
};

struct OwnedEmbedding {
  EmbeddingRows view;
  std::shared_ptr<void> rows, rounded;
};

template <class E>
class Storage<table<E>> {
 public:
  using Shard = std::shared_ptr<const OwnedEmbedding>;
  Storage() = default;
  explicit Storage(std::vector<Shard> shards) : shards_(std::move(shards)) {}
  const EmbeddingRows& embedding(index_t rank) const { return shards_[static_cast<std::size_t>(rank)]->view; }
  bool empty() const { return shards_.empty(); }
  /// In f32, as the checkpoint has them.
  bool has_exact_rows() const {
    for (const Shard& s : shards_)
      if (s) return s->view.rows != nullptr;
    return false;
  }

 private:
  std::vector<Shard> shards_;
};

}  // namespace tess::cuda
