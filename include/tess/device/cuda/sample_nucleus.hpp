// The nucleus filter on a GPU: where, among logits in ascending order, the cumulative probability reaches 1 - p.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "sample_work.hpp"

namespace tess::cuda {

// There are only 65536 bfloat16 numbers: logits are sorted by counting, and rank r is found among the counts. The rounded
// prefix sums of jnp.cumsum's tree are taken by chunks of 2048 ranks, 11 levels of the tree each; one block carries the
// levels above. All sums are the host's bit for bit (generate::Sampler).

/// The largest ordinal of all chunks. Shared: an i32 for each thread.
__device__ inline i32 largest_ordinal(const SampleWork& work, index_t draw, i32* shared) {
  i32 most = 0;
  for (index_t c = threadIdx.x; c < work.chunks(); c += blockDim.x)
    most = std::max(most, work.peaks[draw * work.chunks() + c].most);
  return merged(most, shared, [](i32 a, i32 b) { return std::max(a, b); });
}
/// The number at `rank` of the logits in ascending order: counts[o] is how many are not above ordinal o.
__device__ inline f32 logit_at(const std::uint32_t* counts, index_t rank) {
  index_t low = 0, high = SampleWork::ordinals - 1;  // the first o with counts[o] > rank
  while (low < high) {
    const index_t middle = (low + high) / 2;
    if (static_cast<index_t>(counts[middle]) > rank) high = middle;
    else low = middle + 1;
  }
  return generate::detail::from_ordinal(static_cast<std::size_t>(low));
}

/// counts [65536] become how many logits are not above each number. A block of 32 warps a draw, 2048 numbers a warp.
template <class Work>
__global__ void count_up_kernel(Work work) {
  follow_previous_kernel();
  const index_t draw = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (work.draws[draw].excluded <= 0) return;
  constexpr index_t each = SampleWork::ordinals / 32;
  auto* sums = reinterpret_cast<std::uint32_t*>(shared_memory());  // [32], of the warps
  std::uint32_t* counts = work.counts + draw * SampleWork::ordinals + warp * each;
  std::uint32_t sum = 0;
  for (index_t i = lane; i < each; i += 32) sum += counts[i];
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  std::uint32_t before = 0;
  for (index_t w = 0; w < warp; ++w) before += sums[w];
  for (index_t i = lane; i < each; i += 32) {
    std::uint32_t up_to = counts[i];
    for (unsigned apart = 1; apart < 32; apart *= 2) {
      const std::uint32_t left = __shfl_up_sync(0xffffffffu, up_to, apart);
      if (lane >= apart) up_to += left;
    }
    counts[i] = before + up_to;
    before += __shfl_sync(0xffffffffu, up_to, 31);
  }
}

/// exps [V] in ascending order, and the sums of its windows. A warp a window.
template <class Work>
__global__ void ascending_kernel(Work work) {
  follow_previous_kernel();
  const index_t draw = blockIdx.y, V = work.vocabulary;
  const Draw& d = work.draws[draw];
  if (d.excluded <= 0) return;
  const f32 top = generate::detail::from_ordinal(
      static_cast<std::size_t>(largest_ordinal(work, draw, reinterpret_cast<i32*>(shared_memory()))));
  const std::uint32_t* counts = work.counts + draw * SampleWork::ordinals;
  const index_t before = (work.windows() * SampleWork::window - V) / 2;
  for (int k = 0; k < SampleWork::tokens_each; ++k) {
    const index_t i = static_cast<index_t>(blockIdx.x) * SampleWork::chunk + k * SampleWork::threads + threadIdx.x;
    const index_t rank = i - before, w = i / SampleWork::window;
    f32 e = 0;
    if (rank >= 0 && rank < V) {
      e = sample_exp(d.arithmetic, logit_at(counts, rank) - top);
      work.exps[draw * V + rank] = e;
    }
    const f32 sum = window_sum(e);
    if (threadIdx.x % 32 == 0 && w < work.windows()) work.sums[draw * work.windows() + w] = sum;
  }
}

/// Shared memory of a block with a chunk of ranks: the levels of its tree, [2048], [1024], … one behind the other.
struct AscendingShared {
  f32 level[2 * SampleWork::chunk];
  i32 places[SampleWork::threads];
  f32 sums[1];  // two_levels(windows)

  static index_t bytes(const SampleWork& work) {
    return static_cast<index_t>(sizeof(AscendingShared)) +
           two_levels(work.windows()) * static_cast<index_t>(sizeof(f32));
  }
};
__device__ inline f32 add_bf16(f32 a, f32 b) { return bf16(a + b); }

/// Sums of pairs, level by level: level l of the chunk begins at `level_begin(l)`. Elements of the whole tree's level l:
/// V >> l; those beyond are left out.
__device__ constexpr index_t level_begin(int l) { return 2 * SampleWork::chunk - (2 * SampleWork::chunk >> l); }
__device__ inline index_t level_count(const SampleWork& work, index_t c, int l) {
  const index_t left = (work.vocabulary >> l) - (c * SampleWork::chunk >> l), all = SampleWork::chunk >> l;
  return left < 0 ? 0 : left < all ? left : all;
}
__device__ inline void sum_pairs(const SampleWork& work, index_t c, f32* level) {
  for (int l = 0; l < work.levels(); ++l) {
    __syncthreads();
    for (index_t i = threadIdx.x; i < level_count(work, c, l + 1); i += blockDim.x)
      level[level_begin(l + 1) + i] = add_bf16(level[level_begin(l) + 2 * i], level[level_begin(l) + 2 * i + 1]);
  }
  __syncthreads();
}
/// The probabilities of a chunk of ranks, and the sums of pairs above them.
__device__ inline void probabilities_of_ranks(const SampleWork& work, index_t draw, AscendingShared& s) {
  const index_t c = blockIdx.x, V = work.vocabulary;
  const f32 sum = sum_of_exps(work, draw, s.sums);
  for (index_t i = threadIdx.x; i < level_count(work, c, 0); i += blockDim.x)
    s.level[i] = generate::detail::probability(work.exps[draw * V + c * SampleWork::chunk + i], sum);
  sum_pairs(work, c, s.level);
}

template <class Work>
__global__ void sum_runs_kernel(Work work) {
  follow_previous_kernel();
  const index_t c = blockIdx.x, draw = blockIdx.y;
  if (work.draws[draw].excluded <= 0) return;
  auto& s = *reinterpret_cast<AscendingShared*>(shared_memory());
  probabilities_of_ranks(work, draw, s);
  const int l = work.levels();
  for (index_t i = threadIdx.x; i < level_count(work, c, l); i += blockDim.x)
    work.runs[draw * work.run_count() + (c * SampleWork::chunk >> l) + i] = s.level[level_begin(l) + i];
}

/// generate::detail::tree_cumsum of runs, by a block.
template <class Work>
__global__ void add_up_runs_kernel(Work work) {
  follow_previous_kernel();
  const index_t draw = blockIdx.x, me = threadIdx.x, threads = blockDim.x;
  if (work.draws[draw].excluded <= 0) return;
  const index_t n = work.run_count();
  f32* x = work.runs + draw * n;
  f32* above = work.run_scratch + draw * n;  // level 1, 2, … one behind the other
  int depth = 0;
  for (; (n >> depth) >= 2 && (n >> depth) != 3; ++depth) {
    for (index_t i = me; i < n >> (depth + 1); i += threads) above[i] = add_bf16(x[2 * i], x[2 * i + 1]);
    x = above, above += n >> (depth + 1);
    __syncthreads();
  }
  if ((n >> depth) == 3 && me == 0) {  // XLA fuses the last two additions and rounds once
    const f32 all = bf16(x[0] + x[1] + x[2]);
    x[1] = add_bf16(x[0], x[1]);
    x[2] = all;
  }
  for (; depth > 0; --depth) {
    const f32* sums = x;  // of pairs, added up
    const index_t count = n >> (depth - 1);
    x = depth == 1 ? work.runs + draw * n : x - count;
    __syncthreads();
    for (index_t i = me; i < count; i += threads)
      x[i] = i % 2 ? sums[i / 2] : i > 0 ? add_bf16(sums[i / 2 - 1], x[i]) : x[i];
  }
}

/// The first rank of each chunk at which the prefix sum reaches what is excluded.
template <class Work>
__global__ void reach_kernel(Work work) {
  follow_previous_kernel();
  const index_t c = blockIdx.x, draw = blockIdx.y;
  const Draw& d = work.draws[draw];
  if (d.excluded <= 0) return;
  auto& s = *reinterpret_cast<AscendingShared*>(shared_memory());
  probabilities_of_ranks(work, draw, s);
  const f32* runs = work.runs + draw * work.run_count();
  int l = work.levels();
  const index_t first_run = c * SampleWork::chunk >> l;
  for (index_t i = threadIdx.x; i < level_count(work, c, l); i += blockDim.x)
    s.level[level_begin(l) + i] = runs[first_run + i];
  const f32 behind = first_run > 0 ? runs[first_run - 1] : 0;  // the sum of all chunks before this one, on every level
  for (--l; l >= 0; --l) {
    __syncthreads();
    f32* x = s.level + level_begin(l);
    const f32* sums = s.level + level_begin(l + 1);
    for (index_t i = threadIdx.x; i < level_count(work, c, l); i += blockDim.x) {
      if (i % 2) x[i] = sums[i / 2];
      else if (i > 0) x[i] = add_bf16(sums[i / 2 - 1], x[i]);
      else if (c > 0) x[i] = add_bf16(behind, x[i]);
    }
  }
  __syncthreads();
  i32 reached = INT_MAX;
  for (index_t i = threadIdx.x; i < level_count(work, c, 0); i += blockDim.x)
    if (s.level[i] >= d.excluded) reached = std::min(reached, static_cast<i32>(c * SampleWork::chunk + i));
  reached = merged(reached, s.places, [](i32 a, i32 b) { return std::min(a, b); });
  if (threadIdx.x == 0) work.reached[draw * work.ascending_chunks() + c] = reached;
}

/// What is left out lies below this logit. Where the rounded sum never gets there nothing is left out: so does the
/// reference. Shared: an i32 for each thread.
__device__ inline f32 nucleus_threshold(const SampleWork& work, index_t draw, i32* shared) {
  if (work.draws[draw].excluded <= 0) return -INFINITY;
  const index_t chunks = work.ascending_chunks();
  i32 reached = INT_MAX;
  for (index_t c = threadIdx.x; c < chunks; c += blockDim.x)
    reached = std::min(reached, work.reached[draw * chunks + c]);
  reached = merged(reached, shared, [](i32 a, i32 b) { return std::min(a, b); });
  return reached == INT_MAX ? -INFINITY : logit_at(work.counts + draw * SampleWork::ordinals, reached);
}

/// `reached` for all draws that filter, from scaled logits and their counts.
inline void find_nucleus(Gpu& gpu, const SampleWork& work, index_t draws) {
  const dim3 grid = blocks(work.ascending_chunks(), draws), block = blocks(SampleWork::threads);
  const index_t shared = AscendingShared::bytes(work);
  gpu.run(count_up_kernel<SampleWork>,
          {.grid = blocks(draws), .block = blocks(1024), .shared = 32 * 4, .overlaps = true}, work);
  gpu.run(ascending_kernel<SampleWork>,
          {.grid = grid, .block = block, .shared = SampleWork::threads * 4, .overlaps = true}, work);
  gpu.run(sum_runs_kernel<SampleWork>, {.grid = grid, .block = block, .shared = shared, .overlaps = true}, work);
  gpu.run(add_up_runs_kernel<SampleWork>, {.grid = blocks(draws), .block = blocks(1024), .overlaps = true}, work);
  gpu.run(reach_kernel<SampleWork>, {.grid = grid, .block = block, .shared = shared, .overlaps = true}, work);
}

}  // namespace tess::cuda
