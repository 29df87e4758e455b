// Choices numbered by expert on the GPU: where the rows of every expert begin, and which row a choice is.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>

#include "../token_group.hpp"
#include "block_sum.hpp"
#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

/// Of the experts of a model, those of one device.
struct OwnExperts {
  index_t first = 0, count = 0, all = 0;
};

/// The choices of tokens: ids i32 [tokens, k], of which the first `*arrived` tokens are there, or all if it is null.
struct Choices {
  const i32* ids = nullptr;
  index_t tokens = 0, k = 0;
  const i32* arrived = nullptr;

  __device__ index_t count() const {
    const index_t there = arrived ? static_cast<index_t>(*arrived) : tokens;
    return (there < tokens ? there : tokens) * k;
  }
};

namespace numbering {

/// The number of an expert among a device's own; `own.count` for those of others and for none.
__device__ inline i32 own_number(i32 id, const OwnExperts& own) {
  const index_t e = id - own.first;
  return static_cast<i32>(id >= 0 && e >= 0 && e < own.count ? e : own.count);
}
__device__ inline void check_expert(i32 id, const OwnExperts& own, Fault* fault) {
  if (id != no_expert && (id < 0 || id >= own.all)) report(fault, FaultCode::expert_outside_model, id, own.all);
}
/// A device has room for so many rows: more, and a token must have named an expert twice.
__device__ inline i32 within(i32 row, index_t room, Fault* fault) {
  if (row < room) return row;
  report(fault, FaultCode::expert_named_twice, row, room);
  return no_expert;
}

inline constexpr int threads = 256, rounds = 4;
inline constexpr index_t warps = threads / 32, warp_choices = 32 * rounds,
                         block_choices = warps * warp_choices;  // of a block, warp after warp

/// The lanes of a warp whose `e` is this lane's; e < 2^bits.
__device__ inline unsigned lanes_alike(i32 e, int bits) {
  unsigned alike = all_lanes;
  for (int b = 0; b < bits; ++b) {
    const bool one = (e >> b & 1) != 0;
    const unsigned ones = __ballot_sync(all_lanes, one);
    alike &= one ? ones : ~ones;
  }
  return alike;
}

/// f(i, e, alike) for the choices of this warp in its order, 32 at a time by all lanes: e is own_number, own.count
/// behind the end.
template <class F>
__device__ void each_choice(const Choices& choices, const OwnExperts& own, int bits, F f) {
  const index_t n = choices.count(), first = static_cast<index_t>(blockIdx.x) * block_choices +
                                             static_cast<index_t>(threadIdx.x / 32) * warp_choices + threadIdx.x % 32;
  for (int round = 0; round < rounds; ++round) {
    const index_t i = first + round * 32;
    const i32 e = i < n ? own_number(choices.ids[i], own) : static_cast<i32>(own.count);
    f(i, e, lanes_alike(e, bits));
    __syncwarp();
  }
}
/// seen[warp][e]: how many choices of e the warp has.
__device__ inline void count_by_warp(i32* seen, const Choices& choices, const OwnExperts& own, int bits) {
  for (index_t i = threadIdx.x; i < warps * own.count; i += threads) seen[i] = 0;
  __syncthreads();
  i32* mine = seen + static_cast<index_t>(threadIdx.x / 32) * own.count;
  each_choice(choices, own, bits, [&](index_t, i32 e, unsigned alike) {
    const bool leads = (alike & ((1u << threadIdx.x % 32) - 1)) == 0;
    if (e < own.count && leads) mine[e] += __popc(alike);
  });
  __syncthreads();
}

}  // namespace numbering

/// counts [E, blocks]: choices of expert e in a block's part.
template <int threads>
__global__ void __launch_bounds__(threads)
    count_choices_kernel(i32* counts, Choices choices, OwnExperts own, int bits, Fault* fault) {
  follow_previous_kernel();
  i32* seen = reinterpret_cast<i32*>(shared_memory());
  numbering::count_by_warp(seen, choices, own, bits);
  for (index_t e = threadIdx.x; e < own.count; e += threads) {
    i32 sum = 0;
    for (int w = 0; w < numbering::warps; ++w) sum += seen[w * own.count + e];
    counts[e * static_cast<index_t>(gridDim.x) + blockIdx.x] = sum;
  }
  const index_t n = choices.count(), first = static_cast<index_t>(blockIdx.x) * numbering::block_choices;
  for (index_t i = first + threadIdx.x; i < n && i < first + numbering::block_choices; i += threads)
    numbering::check_expert(choices.ids[i], own, fault);
}

/// counts [E, blocks] -> the row at which each begins, and offsets [E + 1], at most `room`. One block.
template <int threads>
__global__ void __launch_bounds__(threads)
    add_up_counts_kernel(i32* counts, i32* offsets, index_t experts, index_t blocks, index_t room) {
  follow_previous_kernel();
  i32* of_warp = reinterpret_cast<i32*>(shared_memory());
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const index_t n = experts * blocks;
  i32 before = 0;                     // all earlier rounds
  const auto up_to = [lane](i32 v) {  // the sum of this lane and those below
    for (int apart = 1; apart < 32; apart *= 2) {
      const i32 below = __shfl_up_sync(all_lanes, v, static_cast<unsigned>(apart));
      if (lane >= static_cast<unsigned>(apart)) v += below;
    }
    return v;
  };
  for (index_t first = 0; first < n; first += threads) {
    const index_t i = first + threadIdx.x;
    const i32 own = i < n ? counts[i] : 0, in_warp = up_to(own);
    if (lane == 31) of_warp[warp] = in_warp;
    __syncthreads();
    const i32 warps_up_to = up_to(of_warp[lane]);
    const i32 earlier_warps = __shfl_sync(all_lanes, warps_up_to, static_cast<int>(warp + 31) % 32);
    const i32 begin = before + (warp ? earlier_warps : 0) + in_warp - own;
    if (i < n) {
      counts[i] = begin;
      if (i % blocks == 0) offsets[i / blocks] = static_cast<i32>(begin < room ? begin : room);
    }
    before += __shfl_sync(all_lanes, warps_up_to, 31);
    __syncthreads();
  }
  if (threadIdx.x == 0) offsets[experts] = static_cast<i32>(before < room ? before : room);
}

/// starts [E, blocks] -> positions [n], no_expert for a choice of none of these.
template <int threads>
__global__ void __launch_bounds__(threads) number_choices_kernel(i32* positions, const i32* starts, Choices choices,
                                                                 OwnExperts own, index_t room, int bits, Fault* fault) {
  follow_previous_kernel();
  i32* seen = reinterpret_cast<i32*>(shared_memory());
  numbering::count_by_warp(seen, choices, own, bits);
  for (index_t e = threadIdx.x; e < own.count; e += threads) {
    i32 begin = starts[e * static_cast<index_t>(gridDim.x) + blockIdx.x];
    for (int w = 0; w < numbering::warps; ++w) {
      const i32 here = seen[w * own.count + e];
      seen[w * own.count + e] = begin;
      begin += here;
    }
  }
  __syncthreads();
  const index_t n = choices.count();
  i32* next = seen + static_cast<index_t>(threadIdx.x / 32) * own.count;
  numbering::each_choice(choices, own, bits, [&](index_t i, i32 e, unsigned alike) {
    const unsigned before = alike & ((1u << threadIdx.x % 32) - 1);
    const bool mine = e < own.count;
    const i32 row = mine ? next[e] + __popc(before) : no_expert;
    __syncwarp();
    if (mine && before == 0) next[e] += __popc(alike);
    if (i < n) positions[i] = mine ? numbering::within(row, room, fault) : no_expert;
  });
}

/// ids [tokens, k] -> offsets [E + 1] of the device's E own experts, and the row of every choice in the order of
/// experts, then of choices; no_expert for a choice of none of these. Reports ids outside the model.
inline void number_rows(Gpu& gpu, const Choices& choices, const OwnExperts& own, index_t room, i32* offsets,
                        i32* positions) {
  const index_t n = choices.tokens * choices.k, parts = n > 0 ? ceil_div(n, numbering::block_choices) : 1;
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(own.count)));
  const index_t shared = numbering::warps * own.count * static_cast<index_t>(sizeof(i32));
  const auto counts = gpu.scratch<i32>(own.count * parts);
  const Launch by_part{.grid = blocks(parts), .block = dim3(numbering::threads), .shared = shared, .overlaps = true};
  gpu.run(count_choices_kernel<numbering::threads>, by_part, counts.get(), choices, own, bits, gpu.fault());
  gpu.run(add_up_counts_kernel<1024>,
          {.grid = dim3(1), .block = dim3(1024), .shared = 32 * sizeof(i32), .overlaps = true}, counts.get(), offsets,
          own.count, parts, room);
  gpu.run(number_choices_kernel<numbering::threads>, by_part, positions, counts.get(), choices, own, room, bits,
          gpu.fault());
}

}  // namespace tess::cuda
