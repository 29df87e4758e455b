// put_together: shards that are addends, or candidates for a maximum or minimum, become one, in the order of the ranks.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "boxes.hpp"

namespace tess::cuda {

/// What a sum is kept in while it grows: f32 for bf16.
template <class T>
using sum_type = std::conditional_t<std::is_same_v<T, bf16>, f32, T>;

/// Of maxima and minima NaN wins.
template <class A>
__device__ A put_together(Reduction kind, A so_far, A next) {
  if (kind == Reduction::sum) return static_cast<A>(so_far + next);
  const bool replaces = kind == Reduction::max ? so_far < next : next < so_far;
  return replaces || next != next ? next : so_far;
}

/// V elements, as one load or store.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T element[V];
};

/// One result: a box of `from.size()` memories, written whole to each of `to`.
template <class T>
struct Sum {
  std::vector<T*> to;
  std::vector<const T*> from;  // where the box begins
};

namespace detail {
struct SumTable {
  static constexpr std::size_t capacity = (argument_bytes - 160) / sizeof(void*);
  Reduction kind;
  std::uint32_t sources, destinations;  // of one result
  index_t size, run;                    // packs of V elements: of the result, and together
  index_t extent[max_rank], step[max_rank];
  void* address[capacity];  // by result: destinations, then sources
};

/// Block (i, j): packs of result j.
template <class T, int V>
__global__ void put_together_all(const __grid_constant__ SumTable table) {
  using P = Pack<T, V>;
  using A = sum_type<T>;
  void* const* to = table.address + static_cast<index_t>(blockIdx.y) * (table.sources + table.destinations);
  void* const* from = to + table.destinations;
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < table.size; i += step) {
    index_t rest = i / table.run, at = i - rest * table.run;
    for (int d = 0; d < max_rank && rest > 0; ++d) {
      const index_t next = rest / table.extent[d];
      at += (rest - next * table.extent[d]) * table.step[d];
      rest = next;
    }
    P p = static_cast<const P*>(from[0])[at];
    A sum[V];
    for (int v = 0; v < V; ++v) sum[v] = static_cast<A>(p.element[v]);
    for (std::uint32_t s = 1; s < table.sources; ++s) {
      p = static_cast<const P*>(from[s])[at];
      for (int v = 0; v < V; ++v) sum[v] = put_together(table.kind, sum[v], static_cast<A>(p.element[v]));
    }
    for (int v = 0; v < V; ++v) p.element[v] = T(sum[v]);
    for (std::uint32_t d = 0; d < table.destinations; ++d) static_cast<P*>(to[d])[i] = p;
  }
}

template <class T, int V>
void launch_sums(Gpu& gpu, Reduction kind, const StridedBox& box, std::span<const Sum<T>> sums) {
  constexpr auto pack = static_cast<index_t>(sizeof(T)) * V;
  SumTable table{};
  table.kind = kind;
  table.sources = static_cast<std::uint32_t>(sums[0].from.size());
  table.destinations = static_cast<std::uint32_t>(sums[0].to.size());
  table.size = box.bytes() / pack, table.run = box.run / pack;
  for (int d = 0; d < max_rank; ++d) {
    const auto i = static_cast<std::size_t>(d);
    table.extent[i] = d < box.rank ? box.dims[i].extent : 1, table.step[i] = d < box.rank ? box.dims[i].from / pack : 0;
  }
  const std::size_t each = sums[0].from.size() + sums[0].to.size(), at_once = table.capacity / each;
  for (std::size_t first = 0; first < sums.size(); first += at_once) {
    const std::size_t n = std::min(at_once, sums.size() - first);
    void** address = table.address;
    for (const Sum<T>& s : sums.subspan(first, n)) {
      for (T* to : s.to) *address++ = to;
      for (const T* from : s.from) *address++ = const_cast<T*>(from);
    }
    const int threads = threads_for(table.size);
    gpu.run(put_together_all<T, V>,
            {.grid = blocks(std::min<index_t>(ceil_div(table.size, threads), 8 * gpu.multiprocessors()),
                            static_cast<index_t>(n)),
             .block = dim3(static_cast<unsigned>(threads))},
            table);
  }
}
}  // namespace detail

/// Queues sums (or maxima, minima) of boxes that lie alike: `box.from` are the steps in each source, results are
/// written packed. All have as many sources and as many destinations: together at most 480. Sources may be memory of
/// other GPUs that this one sees. bf16 is summed in f32 and rounded once.
template <class T>
void put_together(Gpu& gpu, Reduction kind, const StridedBox& box, std::span<const Sum<T>> sums) {
  if (sums.empty() || box.bytes() == 0) return;
  if (sums[0].from.size() + sums[0].to.size() > detail::SumTable::capacity)
    fail("[cuda] ", sums[0].from.size(),
         " ranks of one process put their shards together: ", detail::SumTable::capacity / 2, " at most");
  constexpr int V = 16 / sizeof(T);
  const auto is_wide = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  bool wide = box.run % 16 == 0;
  for (int d = 0; d < box.rank; ++d) wide = wide && box.dims[static_cast<std::size_t>(d)].from % 16 == 0;
  for (const Sum<T>& s : sums)
    wide = wide && std::all_of(s.to.begin(), s.to.end(), is_wide) && std::all_of(s.from.begin(), s.from.end(), is_wide);
  if (wide) detail::launch_sums<T, V>(gpu, kind, box, sums);
  else detail::launch_sums<T, 1>(gpu, kind, box, sums);
}

}  // namespace tess::cuda
