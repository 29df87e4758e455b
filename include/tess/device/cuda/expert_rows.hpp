// Rows of experts on the GPU: tokens are copied to them in the order of experts, and their sums back to tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "fours.hpp"
#include "number_rows.hpp"

namespace tess::cuda {

namespace expert_rows {
inline constexpr int threads = 256;
inline constexpr index_t few = 1024;  // choices up to which every block numbers its own, in one kernel

__device__ inline index_t first_four() { return static_cast<index_t>(threadIdx.x) * 4; }
inline constexpr index_t four_step = threads * 4;

/// A row by a whole block.
template <class T>
__device__ void copy(T* to, const T* from, index_t width, bool whole) {
  for (index_t at = first_four(); at < width; at += four_step)
    store_elements(to, at, width, whole, load_elements(from, at, width, whole));
}
}  // namespace expert_rows

/// The whole of dispatch for few choices: block i numbers choice i among all and copies its row; the last block finds
/// where experts begin.
template <class T>
__global__ void __launch_bounds__(expert_rows::threads)
    dispatch_few_kernel(T* rows, i32* positions, i32* offsets, const T* x, Choices choices, OwnExperts own,
                        index_t width, bool whole, index_t room, Fault* fault) {
  follow_previous_kernel();
  const index_t n = choices.count(), i = blockIdx.x;
  if (i == static_cast<index_t>(gridDim.x) - 1) {
    i32* seen = reinterpret_cast<i32*>(shared_memory());
    for (index_t e = threadIdx.x; e < own.count; e += expert_rows::threads) seen[e] = 0;
    __syncthreads();
    for (index_t c = threadIdx.x; c < n; c += expert_rows::threads) {
      numbering::check_expert(choices.ids[c], own, fault);
      const i32 e = numbering::own_number(choices.ids[c], own);
      if (e < own.count) atomicAdd(&seen[e], 1);
    }
    __syncthreads();
    for (index_t e = threadIdx.x; e <= own.count; e += expert_rows::threads) {
      i32 before = 0;
      for (index_t earlier = 0; earlier < e; ++earlier) before += seen[earlier];
      offsets[e] = static_cast<i32>(before < room ? before : room);
    }
    return;
  }
  if (i >= n) return;
  const i32 mine = numbering::own_number(choices.ids[i], own);
  if (mine == own.count) {
    if (threadIdx.x == 0) positions[i] = no_expert;
    return;
  }
  int row = 0;
  for (index_t first = 0; first < n; first += expert_rows::threads) {
    const index_t c = first + threadIdx.x;
    const i32 e = c < n ? numbering::own_number(choices.ids[c], own) : static_cast<i32>(own.count);
    row += __syncthreads_count(e < mine || (e == mine && c < i));
  }
  if (threadIdx.x == 0) positions[i] = numbering::within(row, room, fault);
  if (row < room) expert_rows::copy(rows + row * width, x + i / choices.k * width, width, whole);
}

/// A block for each token: its row to those of its choices.
template <class T>
__global__ void __launch_bounds__(expert_rows::threads)
    copy_to_experts_kernel(T* rows, const i32* positions, const T* x, Choices choices, index_t width, bool whole) {
  follow_previous_kernel();
  const index_t token = blockIdx.x;
  if (token * choices.k >= choices.count()) return;
  positions += token * choices.k;
  for (index_t at = expert_rows::first_four(); at < width; at += expert_rows::four_step) {
    const FourOf<T> four = load_elements(x + token * width, at, width, whole);
    for (index_t j = 0; j < choices.k; ++j)
      if (positions[j] != no_expert) store_elements(rows + positions[j] * width, at, width, whole, four);
  }
}

/// A block for each token: y = the sum over its choices, in order, of weight · row; zeros where it has none.
template <class Y, class X>
__global__ void __launch_bounds__(expert_rows::threads)
    combine_kernel(Y* y, const X* rows, const i32* positions, const f32* weights, Choices choices, index_t width,
                   bool whole) {
  follow_previous_kernel();
  const index_t token = blockIdx.x, k = choices.k;
  if (token * k >= choices.count()) return;
  positions += token * k;
  weights += token * k;
  for (index_t at = expert_rows::first_four(); at < width; at += expert_rows::four_step) {
    Four sum{};
    for (index_t j = 0; j < k; ++j) {
      if (positions[j] == no_expert) continue;
      const f32 weight = weights[j];
      const Four row = load_four(rows + positions[j] * width, at, width, whole);
      for (int i = 0; i < 4; ++i) sum.at[i] += weight * row.at[i];
    }
    store_four(y + token * width, at, width, whole, sum);
  }
}

/// y = f(x...) of the elements [rows, width] that belong to an expert: offsets[experts] rows.
template <class F, class Y, class... X>
__global__ void __launch_bounds__(expert_rows::threads)
    map_rows_kernel(F f, Y* y, const i32* rows, index_t width, const X*... x) {
  follow_previous_kernel();
  const index_t n = *rows * width, step = static_cast<index_t>(gridDim.x) * expert_rows::four_step;
  for (index_t at = static_cast<index_t>(blockIdx.x) * expert_rows::four_step + expert_rows::first_four(); at < n;
       at += step)
    [&](const auto&... four) {
      Four result{};
      for (int i = 0; i < 4; ++i) result.at[i] = static_cast<f32>(f(four.at[i]...));
      store_four(y, at, n, at + 4 <= n, result);
    }(load_four(x, at, n, at + 4 <= n)...);
}

/// A block for each row: y = x + the bias of its expert.
template <class Y, class X, class B>
__global__ void __launch_bounds__(expert_rows::threads)
    add_grouped_bias_kernel(Y* y, const X* x, const B* bias, const i32* offsets, index_t experts, index_t width,
                            bool whole) {
  follow_previous_kernel();
  const index_t row = blockIdx.x;
  if (row >= offsets[experts]) return;
  index_t expert = 0, end = experts;  // the first whose rows end behind this one
  while (expert < end) {
    const index_t middle = (expert + end) / 2;
    if (offsets[middle + 1] > row) end = middle;
    else expert = middle + 1;
  }
  for (index_t at = expert_rows::first_four(); at < width; at += expert_rows::four_step) {
    Four sum = load_four(x + row * width, at, width, whole);
    const Four b = load_four(bias + expert * width, at, width, whole);
    for (int i = 0; i < 4; ++i) sum.at[i] += b.at[i];
    store_four(y + row * width, at, width, whole, sum);
  }
}

/// x [tokens, width] -> its rows for the device's own experts, in the order of experts, then of choices, of which there
/// is `room` for; offsets [E + 1] and positions [tokens, k] as number_rows has them.
template <class T>
void dispatch(Gpu& gpu, T* rows, i32* positions, i32* offsets, const T* x, const Choices& choices,
              const OwnExperts& own, index_t width, index_t room) {
  const index_t n = choices.tokens * choices.k;
  const bool whole = whole_fours(width);
  if (n <= expert_rows::few) {
    const index_t shared = own.count * static_cast<index_t>(sizeof(i32));
    gpu.run(dispatch_few_kernel<T>,
            {.grid = blocks(n + 1), .block = dim3(expert_rows::threads), .shared = shared, .overlaps = true}, rows,
            positions, offsets, x, choices, own, width, whole, room, gpu.fault());
  } else {
    number_rows(gpu, choices, own, room, offsets, positions);
    gpu.run(copy_to_experts_kernel<T>,
            {.grid = blocks(choices.tokens), .block = dim3(expert_rows::threads), .overlaps = true}, rows, positions, x,
            choices, width, whole);
  }
}

/// rows -> y [tokens, width]: each token's weighted sum. `choices.ids` is not read.
template <class Y, class X>
void combine(Gpu& gpu, Y* y, const X* rows, const i32* positions, const f32* weights, const Choices& choices,
             index_t width) {
  gpu.run(combine_kernel<Y, X>, {.grid = blocks(choices.tokens), .block = dim3(expert_rows::threads), .overlaps = true},
          y, rows, positions, weights, choices, width, whole_fours(width));
}

/// f of `*rows` rows [width]; there is room for `room`.
template <class F, class Y, class... X>
void map_rows(Gpu& gpu, F f, Y* y, const i32* rows, index_t room, index_t width, const X*... x) {
  const index_t parts = ceil_div(room * width, expert_rows::four_step), most = gpu.multiprocessors() * 16;
  gpu.run(map_rows_kernel<F, Y, X...>,
          {.grid = blocks(std::min(parts, most)), .block = dim3(expert_rows::threads), .overlaps = true}, f, y, rows,
          width, x...);
}

/// y = x + bias [E, width] of each row's expert.
template <class Y, class X, class B>
void add_grouped_bias(Gpu& gpu, Y* y, const X* x, const B* bias, const i32* offsets, index_t experts, index_t room,
                      index_t width) {
  gpu.run(add_grouped_bias_kernel<Y, X, B>,
          {.grid = blocks(room), .block = dim3(expert_rows::threads), .overlaps = true}, y, x, bias, offsets, experts,
          width, whole_fours(width));
}

}  // namespace tess::cuda
