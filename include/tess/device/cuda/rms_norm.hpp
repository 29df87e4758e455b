// RMSNorm on the GPU: a block a row, which stays in registers between its sum and its result.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "block_sum.hpp"
#include "fours.hpp"
#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

namespace norms {

/// Fours of a row that a thread keeps, and threads of a block at most: 6144 elements, beyond which rows are read again.
inline constexpr int fours_held = 4, threads = 384;

/// Which elements of a row [width] a thread of its block has: the fours at first(), first() + step(), …
struct RowShare {
  index_t width;
  bool whole;  // whole_fours(width)

  __device__ static index_t first() { return static_cast<index_t>(threadIdx.x) * 4; }
  __device__ static index_t step() { return static_cast<index_t>(blockDim.x) * 4; }
  __device__ static index_t behind_held() { return first() + fours_held * step(); }

  template <class T>
  __device__ void load(Four (&held)[fours_held], const T* row) const {
    for (int j = 0; j < fours_held; ++j) held[j] = load_four(row, first() + j * step(), width, whole);
  }
};

__device__ inline f32 squares(const Four& x) {
  return (x.at[0] * x.at[0] + x.at[1] * x.at[1]) + (x.at[2] * x.at[2] + x.at[3] * x.at[3]);
}
/// Of the threads' parts of a row, the factor that makes its mean square one.
__device__ inline f32 rms_factor(f32 part, f32* partial, index_t width, f32 eps) {
  return 1.0f / sqrtf(block_sum(part, partial) / static_cast<f32>(width) + eps);
}
__device__ inline Four scaled(const Four& x, f32 factor, const Four& scale) {
  Four y;
  for (int i = 0; i < 4; ++i) y.at[i] = x.at[i] * factor * scale.at[i];
  return y;
}
__device__ inline Four sum_of(const Four& a, const Four& b) {
  return {{a.at[0] + b.at[0], a.at[1] + b.at[1], a.at[2] + b.at[2], a.at[3] + b.at[3]}};
}

/// One block a row, with no more threads than the row has work for.
inline Launch one_block_a_row(index_t rows, index_t width) {
  const index_t warps = ceil_div(ceil_div(width, 4 * fours_held), 32);
  const index_t used = warps < 1 ? 1 : warps > threads / 32 ? threads / 32 : warps;
  return {.grid = blocks(rows),
          .block = blocks(32 * used),
          .shared = 2 * 32 * static_cast<index_t>(sizeof(f32)),
          .overlaps = true};
}

}  // namespace norms

template <class X>
__global__ void sum_squares_kernel(f32* sums, const X* x, norms::RowShare share) {
  follow_previous_kernel();
  const index_t row = blockIdx.x;
  x += row * share.width;
  f32 sum = 0;
  for (index_t at = share.first(); at < share.width; at += share.step())
    sum += norms::squares(load_four(x, at, share.width, share.whole));
  sum = block_sum(sum, reinterpret_cast<f32*>(shared_memory()));
  if (threadIdx.x == 0) sums[row] = sum;
}

template <class Y, class X>
__global__ void rms_scale_kernel(Y* y, const X* x, const f32* sums, const f32* scale, norms::RowShare share,
                                 index_t all, f32 eps) {
  follow_previous_kernel();
  const index_t row = blockIdx.x;
  x += row * share.width;
  y += row * share.width;
  const f32 factor = 1.0f / sqrtf(sums[row] / static_cast<f32>(all) + eps);
  for (index_t at = share.first(); at < share.width; at += share.step())
    store_four(y, at, share.width, share.whole,
               norms::scaled(load_four(x, at, share.width, share.whole), factor,
                             load_four(scale, at, share.width, share.whole)));
}

template <class Y, class X>
__global__ void __launch_bounds__(norms::threads, 2)
    rms_norm_kernel(Y* y, const X* x, const f32* scale, norms::RowShare share, f32 eps) {
  follow_previous_kernel();
  const index_t row = blockIdx.x, width = share.width;
  x += row * width;
  y += row * width;
  Four mine[norms::fours_held], weight[norms::fours_held];
  share.load(weight, scale);
  share.load(mine, x);
  f32 sum = 0;
  for (int j = 0; j < norms::fours_held; ++j) sum += norms::squares(mine[j]);
  for (index_t at = share.behind_held(); at < width; at += share.step())
    sum += norms::squares(load_four(x, at, width, share.whole));
  const f32 factor = norms::rms_factor(sum, reinterpret_cast<f32*>(shared_memory()), width, eps);
  for (int j = 0; j < norms::fours_held; ++j)
    store_four(y, share.first() + j * share.step(), width, share.whole, norms::scaled(mine[j], factor, weight[j]));
  for (index_t at = share.behind_held(); at < width; at += share.step())
    store_four(y, at, width, share.whole,
               norms::scaled(load_four(x, at, width, share.whole), factor, load_four(scale, at, width, share.whole)));
}

/// sum = h + rms_norm(a) · scale; and, unless `normed` is null, normed = rms_norm(sum) · next_scale. `sum` may be h or
/// a.
template <class S, class N, class H, class A>
__global__ void __launch_bounds__(norms::threads, 2)
    add_rms_norm_kernel(S* sum, N* normed, const H* h, const A* a, const f32* scale, const f32* next_scale,
                        norms::RowShare share, f32 eps, f32 next_eps) {
  follow_previous_kernel();
  const index_t row = blockIdx.x, width = share.width;
  a += row * width;
  h += row * width;
  sum += row * width;
  f32* partial = reinterpret_cast<f32*>(shared_memory());
  Four mine[norms::fours_held], stream[norms::fours_held];
  share.load(stream, h);
  share.load(mine, a);
  f32 part = 0;
  for (int j = 0; j < norms::fours_held; ++j) part += norms::squares(mine[j]);
  for (index_t at = share.behind_held(); at < width; at += share.step())
    part += norms::squares(load_four(a, at, width, share.whole));
  const f32 factor = norms::rms_factor(part, partial, width, eps);
  const auto rounded = [](const Four& x) {  // as whoever reads it from memory finds it
    FourOf<S> y{};
    round_to(y, x);
    return widened(y);
  };
  part = 0;
  for (int j = 0; j < norms::fours_held; ++j) {
    const index_t at = share.first() + j * share.step();
    const Four weight = load_four(scale, at, width, share.whole);
    stream[j] = rounded(norms::sum_of(stream[j], norms::scaled(mine[j], factor, weight)));
    store_four(sum, at, width, share.whole, stream[j]);
    part += norms::squares(stream[j]);
  }
  for (index_t at = share.behind_held(); at < width; at += share.step()) {
    const Four more = rounded(norms::sum_of(
        load_four(h, at, width, share.whole),
        norms::scaled(load_four(a, at, width, share.whole), factor, load_four(scale, at, width, share.whole))));
    store_four(sum, at, width, share.whole, more);
    part += norms::squares(more);
  }
  if (normed == nullptr) return;
  normed += row * width;
  const f32 next_factor = norms::rms_factor(part, partial + 32, width, next_eps);
  for (int j = 0; j < norms::fours_held; ++j) {
    const index_t at = share.first() + j * share.step();
    const Four weight = load_four(next_scale, at, width, share.whole);
    store_four(normed, at, width, share.whole, norms::scaled(stream[j], next_factor, weight));
  }
  for (index_t at = share.behind_held(); at < width; at += share.step())
    store_four(normed, at, width, share.whole,
               norms::scaled(load_four(sum, at, width, share.whole), next_factor,
                             load_four(next_scale, at, width, share.whole)));
}

/// x [rows, width] f32 or bf16 -> sums f32 [rows].
template <class X>
void sum_squares(Gpu& gpu, f32* sums, const X* x, index_t rows, index_t width) {
  gpu.run(sum_squares_kernel<X>, norms::one_block_a_row(rows, width), sums, x,
          norms::RowShare{width, whole_fours(width)});
}

/// y [rows, width] = x · rsqrt(sums / all + eps) · scale [width]; `all`: the elements that were summed.
template <class Y, class X>
void rms_scale(Gpu& gpu, Y* y, const X* x, const f32* sums, const f32* scale, index_t rows, index_t width, index_t all,
               f32 eps) {
  gpu.run(rms_scale_kernel<Y, X>, norms::one_block_a_row(width ? rows : 0, width), y, x, sums, scale,
          norms::RowShare{width, whole_fours(width)}, all, eps);
}

/// Both at once, of rows that are whole.
template <class Y, class X>
void rms_norm(Gpu& gpu, Y* y, const X* x, const f32* scale, index_t rows, index_t width, f32 eps) {
  gpu.run(rms_norm_kernel<Y, X>, norms::one_block_a_row(width ? rows : 0, width), y, x, scale,
          norms::RowShare{width, whole_fours(width)}, eps);
}

/// sum [rows, width] = h + rms_norm(a) · scale, and normed = rms_norm(sum) · next_scale unless it is null.
template <class S, class N, class H, class A>
void add_rms_norm(Gpu& gpu, S* sum, N* normed, const H* h, const A* a, const f32* scale, const f32* next_scale,
                  index_t rows, index_t width, f32 eps, f32 next_eps) {
  gpu.run(add_rms_norm_kernel<S, N, H, A>, norms::one_block_a_row(width ? rows : 0, width), sum, normed, h, a, scale,
          next_scale, norms::RowShare{width, whole_fours(width)}, eps, next_eps);
}

}  // namespace tess::cuda
