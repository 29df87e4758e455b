// What the kernels of the sampler share: orders, the working memory of a draw, steps that a block takes together.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <climits>

#include "../../tensor/math.hpp"
#include "../sample_order.hpp"
#include "gpu.hpp"
#include "indexing.hpp"
#include "isa.hpp"

namespace tess::cuda {

/// One token to draw: generate::SampleOrder as the kernels read it.
struct Draw {
  const f32* logits = nullptr;  // [V]
  f32 temperature = 1;          // rounded; 1 where `greedy`
  f32 excluded = 0;             // the probability that the nucleus leaves out; 0: nothing is left out
  bool greedy = false;
  generate::SampleArithmetic arithmetic{};
  generate::Key key;
};

/// What is known of a chunk after the first pass.
struct ChunkPeak {
  i32 most = 0;        // ordinal of the largest scaled logit
  i32 best = INT_MAX;  // first place of the largest logit as it came
  f32 best_logit = 0;
  i32 not_finite = INT_MAX;   // first place of a logit that is not
  i32 overflowing = INT_MAX;  // first place of a scaled logit that is not finite
};

/// The best sum of logit and noise in a chunk. XLA keeps the largest sum so far in bfloat16: behind the first token whose
/// rounded sum is the largest, one whose sum is above the rounded one takes its place, the last of them.
struct ChunkDraw {
  f32 most = -INFINITY;  // rounded to bfloat16
  i32 first = INT_MAX;   // first place of it
  i32 last_above = -1;   // last place of a sum above it that is rounded to it

  constexpr i32 place() const { return last_above >= 0 ? last_above : first; }
};

/// What the host reads: generate::SampleOutput, and what was wrong.
struct Drawn {
  i32 token, top_tokens[generate::top_k_report];
  bf16 probability, top_probabilities[generate::top_k_report];
  i32 not_finite, overflowing;  // places; INT_MAX: none
};

/// Working memory of all draws of a GPU: each array begins with the part of draw 0. The vocabulary V is looked through in
/// the parts of the reference's devices, each in chunks of 2048 tokens, a block each; in ascending order in chunks of 2048
/// ranks.
struct SampleWork {
  static constexpr int threads = 256;
  static constexpr index_t chunk = 2048, window = 32, ordinals = 0x10000;
  static constexpr int tokens_each = static_cast<int>(chunk / threads);

  const Draw* draws = nullptr;
  index_t vocabulary = 0;
  bf16* scaled = nullptr;             // [V], logits / temperature
  ChunkPeak* peaks = nullptr;         // [chunks]
  std::uint32_t* counts = nullptr;    // [65536] of each bfloat16 number, then how many are not above it
  f32* exps = nullptr;                // [V] e^(x - max): in ascending order for the nucleus, then by token
  f32* sums = nullptr;                // [windows]
  f32* runs = nullptr;                // [V >> levels] sums of 2^levels probabilities, then their prefix sums
  f32* run_scratch = nullptr;         // [V >> levels]
  i32* reached = nullptr;             // [ascending_chunks] the first rank at which the nucleus begins
  ChunkDraw* chunk_draws = nullptr;   // [chunks]
  unsigned long long* top = nullptr;  // [chunks, 8]
  Drawn* drawn = nullptr;

  constexpr index_t part() const { return ceil_div(vocabulary, static_cast<index_t>(generate::reference_devices)); }
  constexpr index_t chunks_a_part() const { return ceil_div(part(), chunk); }
  constexpr index_t chunks() const { return chunks_a_part() * static_cast<index_t>(generate::reference_devices); }
  constexpr index_t windows() const { return ceil_div(vocabulary, window); }
  constexpr index_t ascending_chunks() const { return ceil_div(vocabulary, chunk); }
  /// Levels of the tree of prefix sums that lie within a chunk: all there are, or none in small vocabularies, where the last
  /// level of the tree, which is summed otherwise, could lie within one.
  constexpr int levels() const { return vocabulary >= 4 * chunk ? 11 : 0; }
  constexpr index_t run_count() const { return vocabulary >> levels(); }

  /// Chunk c of the vocabulary.
  constexpr index_t chunk_begin(index_t c) const {
    return least(c / chunks_a_part() * part() + c % chunks_a_part() * chunk, vocabulary);
  }
  constexpr index_t chunk_end(index_t c) const {
    const index_t p = c / chunks_a_part();
    return least(least(p * part() + (c % chunks_a_part() + 1) * chunk, (p + 1) * part()), vocabulary);
  }

 private:
  static constexpr index_t least(index_t a, index_t b) { return a < b ? a : b; }
};

/// e^x for x <= 0, as generate::Sampler takes it. (The standard's exp of f32 is a correctly rounded one, but for rare ulps.)
__device__ inline f32 sample_exp(generate::SampleArithmetic arithmetic, f32 x) {
  if (arithmetic == generate::SampleArithmetic::as_written)
    return bf16(static_cast<f32>(math::exp(static_cast<f64>(bf16(x)))));
  return x < -87.3f ? 0.0f : static_cast<f32>(math::exp(static_cast<f64>(x)));
}

/// merge(a, b) of the values of all threads of a block, in any order, for all of them. Shared memory: a T for each thread.
template <class T, class Merge>
__device__ T merged(T value, T* shared, Merge merge) {
  const auto me = threadIdx.x;
  __syncthreads();
  shared[me] = value;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (me < half) shared[me] = merge(shared[me], shared[me + half]);
  }
  __syncthreads();
  return shared[0];
}

/// generate::detail::tree_sum's sum of up to 32 numbers, one a lane, for lane 0.
__device__ inline f32 window_sum(f32 x) {
  for (int half = 16; half > 0; half /= 2) x += __shfl_down_sync(0xffffffffu, x, static_cast<unsigned>(half));
  return x;
}
/// Element w·32 + lane of x [n] with as many zeros before the first as behind the last, as tree_sum fills its windows up.
__device__ inline f32 window_element(const f32* x, index_t n, index_t w, index_t lane) {
  const index_t windows = ceil_div(n, SampleWork::window), before = (windows * SampleWork::window - n) / 2;
  const index_t i = w * SampleWork::window + lane - before;
  return i >= 0 && i < n ? x[i] : 0.0f;
}

/// The rest of tree_sum, by a block, for all of its threads: from the sums of the first windows. `shared`: as many f32 as
/// `two_levels` says.
constexpr index_t two_levels(index_t windows) {
  const index_t next = ceil_div(windows, SampleWork::window);
  return next + ceil_div(next, SampleWork::window);
}
__device__ inline f32 tree_sum(const f32* sums, index_t n, f32* shared) {
  const index_t warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  f32* to = shared;
  f32* other = shared + ceil_div(n, SampleWork::window);
  __syncthreads();
  if (n == 1) return sums[0];
  for (;;) {
    const index_t windows = ceil_div(n, SampleWork::window);
    for (index_t w = warp; w < windows; w += warps) {
      const f32 sum = window_sum(window_element(sums, n, w, lane));
      if (lane == 0) to[w] = sum;
    }
    __syncthreads();
    if (windows == 1) return to[0];
    sums = to, n = windows;
    f32* const swap = to;
    to = other, other = swap;
  }
}

/// The denominator of the probabilities, from the sums of the windows.
__device__ inline f32 sum_of_exps(const SampleWork& work, index_t draw, f32* shared) {
  return generate::detail::rounded(work.draws[draw].arithmetic,
                                   tree_sum(work.sums + draw * work.windows(), work.windows(), shared));
}

}  // namespace tess::cuda
