// reduce_lines: lines of an array in the memory of a GPU, each taken apart by some threads and joined again.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <bit>

#include "../local/lines.hpp"
#include "gpu.hpp"
#include "indexing.hpp"
#include "isa.hpp"

namespace tess::cuda {

/// A function of lines whose parts can be joined (ops/lines.hpp).
template <class F>
using LineState = decltype(std::declval<const F&>().start());
template <class F>
inline constexpr bool joins = requires(const F& f, LineState<F>& s) {
  f.join(s, s);
};

/// How 256 threads share lines: `threads` each. Neighbours take neighbouring elements of a line, or, where lines are not
/// contiguous, neighbouring lines.
struct LineShare {
  static constexpr index_t block = 256;
  index_t threads = 1;
  bool side_by_side = false;  // neighbours take neighbouring lines

  constexpr index_t lines() const { return block / threads; }
};
inline LineShare share_lines(const LineWalk& walk, index_t lines, bool in_parts) {
  const bool contiguous = walk.in_line > 0 && walk.line_stride[static_cast<std::size_t>(walk.in_line - 1)] == 1;
  if (!in_parts || walk.length < 8) return {1, !contiguous};
  const auto most = static_cast<std::uint64_t>(walk.length / 4);  // elements for each thread, at the least
  const index_t threads = std::min(LineShare::block, static_cast<index_t>(std::bit_floor(most)));
  if (contiguous) return {threads, false};
  const auto abreast =
      static_cast<index_t>(std::bit_ceil(static_cast<std::uint64_t>(std::clamp<index_t>(lines, 1, 32))));
  return {std::min(threads, LineShare::block / abreast), true};
}

template <class F, class Y, class X>
__global__ void reduce_lines_kernel(F f, Y* y, const X* x, index_t lines, LineWalk walk, LineShare share) {
  follow_previous_kernel();
  const index_t me = threadIdx.x, abreast = share.lines();
  const index_t line =
      static_cast<index_t>(blockIdx.x) * abreast + (share.side_by_side ? me % abreast : me / share.threads);
  const index_t part = share.side_by_side ? me / abreast : me % share.threads;
  LineState<F> state = f.start();
  if (line < lines) {
    const X* at = x + place_of(line, walk.others, walk.other_extent, walk.other_stride);
    for (index_t i = part; i < walk.length; i += share.threads)
      f.step(state, widened(at[place_of(i, walk.in_line, walk.line_extent, walk.line_stride)]), i);
  }
  if constexpr (joins<F>) {
    auto* states = reinterpret_cast<LineState<F>*>(shared_memory());
    const index_t apart = share.side_by_side ? abreast : 1;  // threads between two parts of a line
    for (index_t half = share.threads / 2; half > 0; half /= 2) {
      states[me] = state;
      __syncthreads();
      if (part < half) f.join(state, states[me + half * apart]);
      __syncthreads();
    }
  }
  if (line < lines && part == 0) y[line] = rounded_to<Y>(f.finish(state));
}

/// y[j] = f of line j of x [extent...] along `dims`, one bit each, the other dimensions counted row-major.
template <class F, class Y, class X>
void reduce_lines(Gpu& gpu, F f, Y* y, index_t lines, const X* x, int rank, const Ranks& extent, unsigned dims) {
  const LineWalk walk = lines_along(rank, extent, dims);
  const LineShare share = share_lines(walk, lines, joins<F>);
  gpu.run(reduce_lines_kernel<F, Y, X>,
          {.grid = blocks(ceil_div(lines, share.lines())),
           .block = blocks(LineShare::block),
           .shared = joins<F> ? LineShare::block * static_cast<index_t>(sizeof(LineState<F>)) : 0,
           .overlaps = true},
          f, y, x, lines, walk, share);
}

}  // namespace tess::cuda
