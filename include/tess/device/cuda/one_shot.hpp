// OneShot: an all-reduce of a small tensor by one kernel a GPU, which reads what all its peers wrote.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <vector>

#include "communicator.hpp"
#include "put_together.hpp"

namespace tess::cuda {

namespace detail {
/// What one GPU knows of its group. Every member has a place for two shards, and flags by block and member: epoch e
/// lies in the place e % 2. Who has seen all flags of epoch e + 1 knows that all members have ended epoch e, because
/// the kernels of a GPU follow each other: so epoch e + 2 may overwrite its place.
struct OneShotTable {
  static constexpr int most = 16;  // members
  static constexpr int most_blocks = 32;

  std::byte* data[most];       // of each member: two places of `capacity` bytes
  std::uint32_t* flags[most];  // of each member: [block][member]
  std::uint32_t* epoch;        // here: of the last call, and how many blocks have ended
  index_t capacity;
  int own, count;
};

/// y = x of all members, put together in the order of the ranks. x and y: packs of V elements here.
template <class T, int V>
__global__ void one_shot(const __grid_constant__ OneShotTable table, Reduction kind, const T* x, T* y, index_t size) {
  using P = Pack<T, V>;
  using A = sum_type<T>;
  const std::uint32_t epoch = table.epoch[0] + 1;
  const index_t place = (epoch % 2) * table.capacity;
  const index_t first = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;

  P* mine = reinterpret_cast<P*>(table.data[table.own] + place);
  for (index_t i = first; i < size; i += step) mine[i] = reinterpret_cast<const P*>(x)[i];
  __syncthreads();
  const int peer = static_cast<int>(threadIdx.x);
  if (peer < table.count && peer != table.own) {
    const index_t row = static_cast<index_t>(blockIdx.x) * OneShotTable::most;
    store_release(table.flags[peer] + row + table.own, epoch);
    while (static_cast<std::int32_t>(load_acquire(table.flags[table.own] + row + peer) - epoch) < 0) pause();
  }
  __syncthreads();

  for (index_t i = first; i < size; i += step) {
    P p = reinterpret_cast<const P*>(table.data[0] + place)[i];
    A sum[V];
    for (int v = 0; v < V; ++v) sum[v] = static_cast<A>(p.element[v]);
    for (int m = 1; m < table.count; ++m) {
      p = reinterpret_cast<const P*>(table.data[m] + place)[i];
      for (int v = 0; v < V; ++v) sum[v] = put_together(kind, sum[v], static_cast<A>(p.element[v]));
    }
    for (int v = 0; v < V; ++v) p.element[v] = T(sum[v]);
    reinterpret_cast<P*>(y)[i] = p;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    if (atomicAdd(table.epoch + 1, 1u) == gridDim.x - 1) table.epoch[1] = 0, table.epoch[0] = epoch;
  }
}
}  // namespace detail

/// For groups of ranks of one process, each with a GPU of its own, that all read each other's memory. Between processes
/// NCCL's symmetric windows (ncclMemAlloc, ncclCommWindowRegister) are the counterpart.
class OneShot {
 public:
  static bool takes(std::size_t members) { return members > 1 && members <= detail::OneShotTable::most; }

  /// `gpus`: by rank. Other work of these GPUs that is queued later must come after what this queues on all of them.
  OneShot(const std::vector<Gpu*>& gpus, const Groups& groups, index_t bytes)
      : gpus_(gpus), capacity_(ceil_div(bytes, 16) * 16) {
    constexpr index_t flags = detail::OneShotTable::most * detail::OneShotTable::most_blocks;
    for (Gpu* const gpu : gpus) {
      gpu->use();
      memory_.push_back(
          gpu->memory().keep(2 * capacity_ + (flags + 2) * static_cast<index_t>(sizeof(std::uint32_t)), gpu->stream()));
    }
    for (std::size_t r = 0; r < gpus.size(); ++r) {
      detail::OneShotTable t{};
      t.capacity = capacity_, t.epoch = flags_of(r) + flags;
      for (std::size_t p = 0; p < gpus.size(); ++p)
        if (groups[p] == groups[r]) {
          if (p == r) t.own = t.count;
          t.data[t.count] = static_cast<std::byte*>(memory_[p].get()), t.flags[t.count] = flags_of(p);
          ++t.count;
        }
      tables_.push_back(t);
    }
  }

  /// At most the bytes that were given.
  template <class T>
  void all_reduce(Reduction kind, const Ends& ends, index_t elements) {
    constexpr int V = 16 / sizeof(T);
    const auto at = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16; };
    bool wide = elements % V == 0;
    for (index_t r = 0; r < static_cast<index_t>(gpus_.size()); ++r)
      wide = wide && at(ends.source(r)) == 0 && at(ends.target(r)) == 0;
    for (std::size_t r = 0; r < gpus_.size(); ++r) {
      const T* x = reinterpret_cast<const T*>(ends.from[r]);
      T* y = reinterpret_cast<T*>(ends.to[r]);
      if (wide) launch<T, V>(r, kind, x, y, elements / V);
      else launch<T, 1>(r, kind, x, y, elements);
    }
  }

 private:
  std::vector<Gpu*> gpus_;
  index_t capacity_;
  std::vector<std::shared_ptr<void>> memory_;  // of each rank: two places, flags, epoch
  std::vector<detail::OneShotTable> tables_;

  std::uint32_t* flags_of(std::size_t r) const {
    return reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(memory_[r].get()) + 2 * capacity_);
  }
  template <class T, int V>
  void launch(std::size_t r, Reduction kind, const T* x, T* y, index_t size) {
    const int threads = detail::threads_for(size);
    const index_t grid = std::min<index_t>(ceil_div(size, threads), detail::OneShotTable::most_blocks);
    gpus_[r]->run(detail::one_shot<T, V>, {.grid = blocks(grid), .block = dim3(static_cast<unsigned>(threads))},
                  tables_[r], kind, x, y, size);
  }
};

}  // namespace tess::cuda
