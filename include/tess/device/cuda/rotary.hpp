// rotary: heads turned by their positions.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>

#include "../rotary_options.hpp"
#include "gpu.hpp"
#include "indexing.hpp"
#include "isa.hpp"
#include "step_inputs.hpp"

namespace tess::cuda {

/// Which values of a head turn, and how fast: what a kernel needs of RotaryOptions.
struct RotaryTurns {
  static constexpr int most = 256;  // pairs
  f64 frequency[most];
  f64 magnitude;
  int first, pairs;
  bool halves, rounded;

  /// Throws Error for more than 512 values.
  RotaryTurns(const RotaryOptions& o, index_t head_width)
      : magnitude(rotary_magnitude(o)),
        first(static_cast<int>(o.first)),
        pairs(static_cast<int>((o.width > 0 ? o.width : head_width - o.first) / 2)),
        halves(o.pairs == RotaryPairs::halves),
        rounded(o.rounded) {
    if (pairs > most) fail("[rotary] ", 2 * pairs, " values of a head turn, but at most ", 2 * most, " can on a GPU");
    const auto all = rotary_frequencies(o, 2 * pairs);
    std::copy(all.begin(), all.end(), frequency);
  }
  /// Bytes of shared memory: cosines and sines.
  index_t shared() const { return 2 * pairs * static_cast<index_t>(sizeof(f32)); }
};

namespace detail {

/// Exact to f64 up to some 2^30 turns: what is left of quarter turns, π/2 being the sum of two numbers, and Taylor series.
__device__ inline void sine_and_cosine(f64 angle, f64& sine, f64& cosine) {
  const f64 n = rint(angle * 0.63661977236758134308);
  const f64 r = fma(-n, 6.123233995736766036e-17, fma(-n, 1.57079632679489655800, angle)), x = r * r;
  f64 s = 0, c = 0;
  constexpr f64 sines[] = {-7.647163731819816e-13, 1.605904383682161e-10, -2.505210838544172e-08, 2.755731922398589e-06,
                           -1.984126984126984e-04, 8.333333333333333e-03, -1.666666666666667e-01, 1.0};
  constexpr f64 cosines[] = {4.779477332387385e-14,
                             -1.147074559772972e-11,
                             2.087675698786810e-09,
                             -2.755731922398589e-07,
                             2.480158730158730e-05,
                             -1.388888888888889e-03,
                             4.166666666666666e-02,
                             -0.5,
                             1.0};
#pragma unroll
  for (const f64 k : sines) s = fma(s, x, k);
#pragma unroll
  for (const f64 k : cosines) c = fma(c, x, k);
  s *= r;
  const auto quarter = static_cast<unsigned>(static_cast<long long>(n)) % 4;
  sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
  cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

/// The turns of one position, in shared memory.
struct Turned {
  const f32 *cosine, *sine;

  __device__ Turned(const RotaryTurns& turns, index_t position) {
    f32* const to = reinterpret_cast<f32*>(shared_memory());
    cosine = to, sine = to + turns.pairs;
    for (int i = static_cast<int>(threadIdx.x); i < turns.pairs; i += static_cast<int>(blockDim.x)) {
      const f64 angle = turns.rounded
                            ? static_cast<f64>(static_cast<f32>(position) * static_cast<f32>(turns.frequency[i]))
                            : static_cast<f64>(position) * turns.frequency[i];
      f64 s, c;
      sine_and_cosine(angle, s, c);
      to[i] = static_cast<f32>(c * turns.magnitude), to[turns.pairs + i] = static_cast<f32>(s * turns.magnitude);
    }
    __syncthreads();
  }

  /// x [heads, width] -> y, by all threads of the block.
  template <class X, class Y>
  __device__ void apply(const RotaryTurns& turns, const X* x, Y* y, index_t heads, index_t width) const {
    const int all = static_cast<int>(heads), wide = static_cast<int>(width), step = turns.halves ? 1 : 2,
              apart = turns.halves ? turns.pairs : 1, still = wide - 2 * turns.pairs;
    for (int i = static_cast<int>(threadIdx.x); i < all * turns.pairs; i += static_cast<int>(blockDim.x)) {
      const int head = i / turns.pairs, pair = i - head * turns.pairs, at = head * wide + turns.first + pair * step;
      const f32 a = static_cast<f32>(x[at]), b = static_cast<f32>(x[at + apart]);
      y[at] = static_cast<Y>(a * cosine[pair] - b * sine[pair]);
      y[at + apart] = static_cast<Y>(b * cosine[pair] + a * sine[pair]);
    }
    for (int i = static_cast<int>(threadIdx.x); i < all * still; i += static_cast<int>(blockDim.x)) {
      const int head = i / still, c = i - head * still, at = head * wide + (c < turns.first ? c : c + 2 * turns.pairs);
      y[at] = static_cast<Y>(static_cast<f32>(x[at]));
    }
  }
};

/// grid: tokens. x and y [batch, tokens, heads, width].
template <class X, class Y>
__global__ void rotate(const X* x, Y* y, const Row* rows, index_t before, index_t tokens, index_t heads, index_t width,
                       const __grid_constant__ RotaryTurns turns) {
  follow_previous_kernel();
  const index_t token = blockIdx.x, b = token / tokens;
  const Turned turned(turns, rows[b].start + before + token - b * tokens);
  turned.apply(turns, x + token * heads * width, y + token * heads * width, heads, width);
}

}  // namespace detail

/// y = x turned; x, y [batch, tokens, heads, width], token t of row b at position rows[b].start + before + t.
template <class X, class Y>
void rotate(Gpu& gpu, const X* x, Y* y, const Row* rows, index_t before, index_t batch, index_t tokens, index_t heads,
            index_t width, const RotaryTurns& turns) {
  gpu.run(detail::rotate<X, Y>,
          {.grid = blocks(batch * tokens), .block = blocks(256), .shared = turns.shared(), .overlaps = true}, x, y,
          rows, before, tokens, heads, width, turns);
}

}  // namespace tess::cuda
