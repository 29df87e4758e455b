// copy_boxes, fill_all: strided parts of shards that are copied or filled in GPU memory, many by one kernel.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "gpu.hpp"
#include "isa.hpp"
#include "strided_box.hpp"

namespace tess::cuda {

/// A box with its two memories.
struct BoxCopy {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  StridedBox box{};
};

namespace detail {
/// Threads of a block for n pieces of work: whole warps.
constexpr int threads_for(index_t n) { return static_cast<int>(std::clamp<index_t>(ceil_div(n, 32) * 32, 32, 256)); }

inline constexpr std::size_t argument_bytes = 4000;  // of a kernel: 4096 are allowed everywhere

template <class Word, int D>
struct CopyPiece {
  Word* to;
  const Word* from;
  index_t to_step[D], from_step[D];  // words
  std::uint32_t run, size, extent[D];
};
template <class Word, int D>
struct CopyTable {
  static constexpr std::size_t capacity = argument_bytes / sizeof(CopyPiece<Word, D>);
  CopyPiece<Word, D> piece[capacity];
};

/// Block (i, p): words of piece p.
template <class Word, int D>
__global__ void copy_pieces(const __grid_constant__ CopyTable<Word, D> table) {
  const CopyPiece<Word, D>& p = table.piece[blockIdx.y];
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < p.size; i += step) {
    const auto at = static_cast<std::uint32_t>(i);
    std::uint32_t rest = at / p.run;
    index_t to = at - rest * p.run, from = to;
    for (int d = 0; d < D; ++d) {
      const std::uint32_t next = rest / p.extent[d], c = rest - next * p.extent[d];
      to += c * p.to_step[d], from += c * p.from_step[d];
      rest = next;
    }
    p.to[to] = p.from[from];
  }
}

/// Does everything about a copy fall on multiples of so many bytes?
inline bool divides(index_t bytes, const BoxCopy& c) {
  index_t all = c.box.run | static_cast<index_t>(reinterpret_cast<std::uintptr_t>(c.to + c.box.to_offset)) |
                static_cast<index_t>(reinterpret_cast<std::uintptr_t>(c.from + c.box.from_offset));
  for (int d = 0; d < c.box.rank; ++d)
    all |= c.box.dims[static_cast<std::size_t>(d)].to | c.box.dims[static_cast<std::size_t>(d)].from;
  return all % bytes == 0;
}

template <class Word, int D>
void launch_copies(Gpu& gpu, std::span<const BoxCopy> copies) {
  constexpr auto word = static_cast<index_t>(sizeof(Word));
  while (!copies.empty()) {
    CopyTable<Word, D> table{};
    const std::size_t n = std::min(copies.size(), table.capacity);
    index_t most = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const BoxCopy& c = copies[i];
      CopyPiece<Word, D>& p = table.piece[i];
      p.to = reinterpret_cast<Word*>(c.to + c.box.to_offset),
      p.from = reinterpret_cast<const Word*>(c.from + c.box.from_offset);
      p.run = static_cast<std::uint32_t>(c.box.run / word), p.size = static_cast<std::uint32_t>(c.box.bytes() / word);
      for (int d = 0; d < D; ++d) {
        const StridedBox::Dim dim = d < c.box.rank ? c.box.dims[static_cast<std::size_t>(d)] : StridedBox::Dim{};
        p.extent[d] = static_cast<std::uint32_t>(dim.extent);
        p.to_step[d] = dim.to / word, p.from_step[d] = dim.from / word;
      }
      most = std::max<index_t>(most, p.size);
    }
    const int threads = threads_for(most);
    const index_t fill = std::max<index_t>(1, 8 * gpu.multiprocessors() / static_cast<index_t>(n));
    gpu.run(copy_pieces<Word, D>,
            {.grid = blocks(std::min(ceil_div(most, threads), fill), static_cast<index_t>(n)),
             .block = dim3(static_cast<unsigned>(threads))},
            table);
    copies = copies.subspan(n);
  }
}
template <class Word>
void launch_copies(Gpu& gpu, std::span<const BoxCopy> copies) {
  const bool flat = std::all_of(copies.begin(), copies.end(), [](const BoxCopy& c) { return c.box.rank <= 3; });
  if (flat) launch_copies<Word, 3>(gpu, copies);
  else launch_copies<Word, max_rank>(gpu, copies);
}
}  // namespace detail

/// Queues copies that do not overlap: one launch for some twenty to forty of them. Memory may be that of another GPU
/// which this one sees.
inline void copy_boxes(Gpu& gpu, std::span<const BoxCopy> copies) {
  constexpr index_t most = index_t{1} << 30;  // bytes a piece: kernels count words with 32 bits
  std::vector<BoxCopy> wide, by_four, by_byte;
  const auto add = [&](const BoxCopy& c) {
    (detail::divides(16, c) ? wide : detail::divides(4, c) ? by_four : by_byte).push_back(c);
  };
  const auto divide = [&](const auto& self, BoxCopy c) -> void {
    if (c.box.bytes() == 0) return;
    if (c.box.bytes() <= most) return add(c);
    StridedBox& b = c.box;
    StridedBox first = b;
    if (b.rank > 0) {  // the outer dimension in halves
      const auto outer = static_cast<std::size_t>(b.rank - 1);
      const index_t half = b.dims[outer].extent / 2;
      first.dims[outer].extent = half, b.dims[outer].extent -= half;
      b.to_offset += half * b.dims[outer].to, b.from_offset += half * b.dims[outer].from;
      if (first.dims[outer].extent == 1) --first.rank;
      if (b.dims[outer].extent == 1) --b.rank;
    } else {
      first.run = most, b.run -= most, b.to_offset += most, b.from_offset += most;
    }
    self(self, {c.to, c.from, first});
    self(self, c);
  };
  for (const BoxCopy& c : copies) divide(divide, c);
  if (!wide.empty()) detail::launch_copies<Words>(gpu, wide);
  if (!by_four.empty()) detail::launch_copies<std::uint32_t>(gpu, by_four);
  if (!by_byte.empty()) detail::launch_copies<std::uint8_t>(gpu, by_byte);
}

namespace detail {
template <class T>
struct FillTable {
  static constexpr std::size_t capacity = (argument_bytes - 16) / sizeof(T*);
  index_t size;
  T value;
  T* to[capacity];
};
template <class T>
__global__ void fill_all(const __grid_constant__ FillTable<T> table) {
  T* to = table.to[blockIdx.y];
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < table.size; i += step)
    to[i] = table.value;
}
}  // namespace detail

/// Queues the filling of `size` elements at each of these addresses.
template <class T>
void fill_all(Gpu& gpu, std::span<T* const> to, index_t size, T value) {
  while (size > 0 && !to.empty()) {
    detail::FillTable<T> table{};
    const std::size_t n = std::min(to.size(), table.capacity);
    table.size = size, table.value = value;
    std::copy_n(to.begin(), n, table.to);
    const int threads = detail::threads_for(size);
    gpu.run(
        detail::fill_all<T>,
        {.grid = blocks(std::min<index_t>(ceil_div(size, threads), 8 * gpu.multiprocessors()), static_cast<index_t>(n)),
         .block = dim3(static_cast<unsigned>(threads))},
        table);
    to = to.subspan(n);
  }
}

}  // namespace tess::cuda
