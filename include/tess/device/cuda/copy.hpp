// copy_strided: a strided copy of any number of dimensions in the memory of a GPU. Every structural operation is one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../tensor/strided_copy.hpp"
#include "gpu.hpp"
#include "indexing.hpp"
#include "isa.hpp"

namespace tess::cuda {

template <class Word>
__global__ void copy_kernel(StridedCopy box, index_t size, const Word* x, Word* y) {
  follow_previous_kernel();
  index_t rest = thread_number();
  if (rest >= size) return;
  index_t from = box.from, to = box.to;
  for (int d = box.rank - 1; d >= 0; --d) {
    const index_t i = d > 0 ? take_remainder(rest, box[d].count) : rest;
    from += i * box[d].from_step;
    to += i * box[d].to_step;
  }
  y[to] = x[from];
}

/// The same copy in words twice as long; false where some run begins or ends in the middle of one.
inline bool pair_up(StridedCopy& box) {
  StridedCopy pairs = box;
  const auto halve = [](index_t& n) {
    const bool even = n % 2 == 0;
    n /= 2;
    return even;
  };
  auto& row = pairs.side[static_cast<std::size_t>(box.rank - 1)];
  if (row.from_step != 1 || row.to_step != 1 || !halve(row.count) || !halve(pairs.from) || !halve(pairs.to))
    return false;
  for (int d = 0; d + 1 < box.rank; ++d) {
    auto& side = pairs.side[static_cast<std::size_t>(d)];
    if (!halve(side.from_step) || !halve(side.to_step)) return false;
  }
  box = pairs;
  return true;
}

/// y[to ...] = x[from ...] for every element of the box, of `bytes` each (1, 2, 4 or 8). x and y begin at a multiple of 16
/// bytes and do not overlap.
inline void copy_strided(Gpu& gpu, const StridedCopy& box, index_t bytes, const void* x, void* y) {
  if (box.size() == 0) return;
  StridedCopy words = simplified(box);
  while (bytes < 16 && pair_up(words)) bytes *= 2;
  const index_t size = words.size();
  const auto with = [&]<class Word>(Word) {
    gpu.run(copy_kernel<Word>, a_thread_each(size), words, size, static_cast<const Word*>(x), static_cast<Word*>(y));
  };
  if (bytes == 1) with(std::uint8_t{});
  else if (bytes == 2) with(std::uint16_t{});
  else if (bytes == 4) with(std::uint32_t{});
  else if (bytes == 8) with(std::uint64_t{});
  else with(Words{});
}

}  // namespace tess::cuda
