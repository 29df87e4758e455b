// The sampler on a GPU: generate::Sampler's tokens, probabilities and top-8, for many rows of logits at once.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "map.hpp"
#include "sample_nucleus.hpp"

namespace tess::cuda {

constexpr bool is_finite(f32 x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

template <class Work>
__global__ void scale_logits_kernel(Work work) {
  follow_previous_kernel();
  const index_t c = blockIdx.x, draw = blockIdx.y, V = work.vocabulary;
  const Draw& d = work.draws[draw];
  ChunkPeak peak;
  const auto merge = [](const ChunkPeak& a, const ChunkPeak& b) {
    const bool second =
        a.best == INT_MAX ||
        (b.best != INT_MAX && (b.best_logit > a.best_logit || (b.best_logit == a.best_logit && b.best < a.best)));
    return ChunkPeak{std::max(a.most, b.most), second ? b.best : a.best, second ? b.best_logit : a.best_logit,
                     std::min(a.not_finite, b.not_finite), std::min(a.overflowing, b.overflowing)};
  };
  for (index_t i = work.chunk_begin(c) + threadIdx.x; i < work.chunk_end(c); i += blockDim.x) {
    const f32 logit = d.logits[i];
    const bf16 scaled(generate::detail::rounded(d.arithmetic, logit) / d.temperature);
    const i32 ordinal = generate::detail::ordinal(scaled), place = static_cast<i32>(i);
    work.scaled[draw * V + i] = scaled;
    if (d.excluded > 0) atomicAdd(&work.counts[draw * SampleWork::ordinals + ordinal], 1u);
    peak =
        merge(peak, {ordinal, place, logit, is_finite(logit) ? INT_MAX : place, is_finite(scaled) ? INT_MAX : place});
  }
  peak = merged(peak, reinterpret_cast<ChunkPeak*>(shared_memory()), merge);
  if (threadIdx.x == 0) work.peaks[draw * work.chunks() + c] = peak;
}

/// Tokens of one draw after the filter.
struct Filtered {
  const bf16* scaled;
  generate::SampleArithmetic arithmetic;
  f32 threshold, top;

  __device__ f32 logit(index_t i) const {
    const f32 x = scaled[i];
    return x < threshold ? f32{bf16(-1e10f)} : x;
  }
  __device__ f32 exp(index_t i) const { return sample_exp(arithmetic, logit(i) - top); }
};
__device__ inline Filtered filtered(const SampleWork& work, index_t draw, i32* shared) {
  const f32 threshold = nucleus_threshold(work, draw, shared);
  const i32 most = largest_ordinal(work, draw, shared);
  return {work.scaled + draw * work.vocabulary, work.draws[draw].arithmetic, threshold,
          generate::detail::from_ordinal(static_cast<std::size_t>(most))};
}

/// Of two parts of a chunk, of two chunks of a part.
__device__ inline ChunkDraw better(const ChunkDraw& a, const ChunkDraw& b) {
  if (a.most > b.most) return a;
  if (b.most > a.most) return b;
  return {a.most, std::min(a.first, b.first), std::max(a.last_above, b.last_above)};
}

/// Gumbel noise, by seven random bits.
struct Gumbel {
  f32 value[128];
};
struct DrawShared {
  Gumbel noise;
  union {
    i32 places[SampleWork::threads];
    ChunkDraw best[SampleWork::threads];
  };
};

/// The best token of each chunk, and the sums of the windows of e^(x - max).
template <class Work>
__global__ void draw_kernel(Work work, const Gumbel* noise) {
  follow_previous_kernel();
  const index_t c = blockIdx.x, draw = blockIdx.y, V = work.vocabulary, me = threadIdx.x;
  const Draw& d = work.draws[draw];
  auto& s = *reinterpret_cast<DrawShared*>(shared_memory());
  for (index_t i = me; i < 128; i += blockDim.x) s.noise.value[i] = noise->value[i];
  const Filtered logits = filtered(work, draw, s.places);  // (its barriers are also the noise's)

  ChunkDraw best;
  const index_t begin = work.chunk_begin(c), end = work.chunk_end(c);
  for (index_t word = begin / 4 + me; 4 * word < end; word += blockDim.x) {
    const std::uint32_t bytes = generate::random_word(d.key, V, word);
    for (index_t i = std::max(4 * word, begin); i < std::min(4 * word + 4, end); ++i) {
      const f32 x =
          generate::detail::rounded(d.arithmetic, s.noise.value[bytes >> (8 * (i % 4) + 1) & 127u] + logits.logit(i));
      const f32 kept = bf16(x);
      best = better(best, {kept, static_cast<i32>(i), x > kept ? static_cast<i32>(i) : -1});
    }
  }
  best = merged(best, s.best, [](const ChunkDraw& a, const ChunkDraw& b) { return better(a, b); });
  if (me == 0) work.chunk_draws[draw * work.chunks() + c] = best;

  const index_t warps = blockDim.x / 32, before = (work.windows() * SampleWork::window - V) / 2;
  for (index_t w = c * warps + me / 32; w < work.windows(); w += work.chunks() * warps) {
    const index_t i = w * SampleWork::window + me % 32 - before;
    const f32 e = i >= 0 && i < V ? logits.exp(i) : 0.0f;
    if (i >= 0 && i < V) work.exps[draw * V + i] = e;
    const f32 sum = window_sum(e);
    if (me % 32 == 0) work.sums[draw * work.windows() + w] = sum;
  }
}

/// A probability and its token in one number: the larger, the more probable; of equal ones the lower id. 0: none.
__device__ inline unsigned long long key_of(f32 probability, index_t token) {
  return static_cast<unsigned long long>(bf16(probability).bits) << 32 |
         (0xffffffffull - static_cast<unsigned long long>(token));
}
/// The eight largest of what the lanes of a warp have, the largest first: key(j) for j < each; every lane gets all.
template <class Key>
__device__ void largest_eight(unsigned long long (&top)[generate::top_k_report], index_t each, Key key) {
  unsigned long long bound = ~0ull;
  for (auto& result : top) {
    unsigned long long most = 0;
    for (index_t j = 0; j < each; ++j) {
      const unsigned long long k = key(j);
      if (k < bound && k > most) most = k;
    }
    for (int apart = 16; apart > 0; apart /= 2) most = std::max(most, __shfl_xor_sync(0xffffffffu, most, apart));
    result = bound = most;
  }
}

/// Shared memory of the kernels that know probabilities.
struct ReportShared {
  unsigned long long top[SampleWork::threads / 32][generate::top_k_report];
  f32 sums[1];  // two_levels(windows)

  static index_t bytes(const SampleWork& work) {
    return static_cast<index_t>(sizeof(ReportShared)) + two_levels(work.windows()) * static_cast<index_t>(sizeof(f32));
  }
};

/// The most probable tokens of each chunk.
template <class Work>
__global__ void report_kernel(Work work) {
  follow_previous_kernel();
  const index_t c = blockIdx.x, draw = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  auto& s = *reinterpret_cast<ReportShared*>(shared_memory());
  const f32 sum = sum_of_exps(work, draw, s.sums);
  const f32* exps = work.exps + draw * work.vocabulary;
  unsigned long long keys[SampleWork::tokens_each];
  for (int j = 0; j < SampleWork::tokens_each; ++j) {
    const index_t i = work.chunk_begin(c) + j * SampleWork::threads + static_cast<index_t>(threadIdx.x);
    keys[j] = i < work.chunk_end(c) ? key_of(generate::detail::probability(exps[i], sum), i) : 0;
  }
  unsigned long long top[generate::top_k_report];
  largest_eight(top, SampleWork::tokens_each, [&](index_t j) { return keys[j]; });
  if (lane == 0)
    for (int k = 0; k < generate::top_k_report; ++k) s.top[warp][k] = top[k];
  __syncthreads();
  if (warp > 0) return;
  largest_eight(top, 2, [&](index_t j) { return s.top[(lane + 32 * j) / 8][(lane + 32 * j) % 8]; });
  if (lane < generate::top_k_report)
    for (int k = 0; k < generate::top_k_report; ++k)
      if (lane == k) work.top[(draw * work.chunks() + c) * generate::top_k_report + k] = top[k];
}

/// One result of all chunks. A block a draw.
template <class Work>
__global__ void finish_draw_kernel(Work work) {
  follow_previous_kernel();
  const index_t draw = blockIdx.x, chunks = work.chunks(), lane = threadIdx.x;
  const Draw& d = work.draws[draw];
  auto& s = *reinterpret_cast<ReportShared*>(shared_memory());
  const f32 sum = sum_of_exps(work, draw, s.sums);
  if (lane >= 32) return;  // whole warps
  const unsigned long long* keys = work.top + draw * chunks * generate::top_k_report;
  const index_t count = chunks * generate::top_k_report;
  unsigned long long top[generate::top_k_report];
  largest_eight(top, ceil_div(count, 32),
                [&](index_t j) { return lane + 32 * j < count ? keys[lane + 32 * j] : 0ull; });
  if (lane > 0) return;

  Drawn out{};
  for (int k = 0; k < generate::top_k_report; ++k) {
    out.top_tokens[k] = top[k] ? static_cast<i32>(0xffffffffull - (top[k] & 0xffffffffull)) : -1;
    out.top_probabilities[k] = bf16::from_bits(static_cast<std::uint16_t>(top[k] >> 32));
  }
  out.not_finite = out.overflowing = INT_MAX;
  ChunkPeak best;
  ChunkDraw most;
  for (index_t p = 0; p < static_cast<index_t>(generate::reference_devices); ++p) {
    ChunkDraw part;
    for (index_t c = p * work.chunks_a_part(); c < (p + 1) * work.chunks_a_part(); ++c) {
      part = better(part, work.chunk_draws[draw * chunks + c]);
      const ChunkPeak peak = work.peaks[draw * chunks + c];
      if (peak.best != INT_MAX && (best.best == INT_MAX || peak.best_logit > best.best_logit)) best = peak;
      out.not_finite = std::min(out.not_finite, peak.not_finite);
      out.overflowing = std::min(out.overflowing, peak.overflowing);
    }
    if (part.most > most.most) most = part;
  }
  const i32 token = d.greedy ? best.best : most.place();
  out.token = token >= 0 && token < work.vocabulary ? token : 0;  // (logits that are not finite)
  out.probability = bf16(generate::detail::probability(work.exps[draw * work.vocabulary + out.token], sum));
  work.drawn[draw] = out;
}

/// A draw of logits [V] in the memory of the GPU.
inline Draw draw_of(const f32* logits, const generate::SampleSettings& settings, generate::Key key) {
  using generate::detail::rounded;
  const auto a = settings.arithmetic;
  const bool greedy = settings.temperature == 0;
  return {.logits = logits,
          .temperature = greedy ? 1.0f : rounded(a, settings.temperature),
          .excluded = greedy ? 0.0f : std::max(0.0f, rounded(a, 1.0f - rounded(a, settings.nucleus_p))),
          .greedy = greedy,
          .arithmetic = a,
          .key = key};
}

/// The tokens of all draws, each from V logits. Waits for them.
inline std::vector<Drawn> draw_tokens(Gpu& gpu, std::span<const Draw> draws, index_t V) {
  const auto n = static_cast<index_t>(draws.size());
  if (n == 0) return {};
  SampleWork work;
  work.vocabulary = V;
  std::vector<std::shared_ptr<void>> memory;
  const auto take = [&]<class T>(T*& array, index_t count) {
    const auto block = gpu.scratch<std::remove_const_t<T>>(n * count);
    memory.push_back(block);
    array = block.get();
    return block.get();
  };
  const bool filters = std::any_of(draws.begin(), draws.end(), [](const Draw& d) { return d.excluded > 0; });
  gpu.upload(take(work.draws, 1), draws.data(), n * static_cast<index_t>(sizeof(Draw)));
  take(work.scaled, V), take(work.peaks, work.chunks()), take(work.sums, work.windows()), take(work.exps, V);
  take(work.chunk_draws, work.chunks()), take(work.top, work.chunks() * generate::top_k_report), take(work.drawn, 1);
  if (filters) {
    take(work.counts, SampleWork::ordinals), take(work.runs, work.run_count());
    take(work.run_scratch, work.run_count()), take(work.reached, work.ascending_chunks());
    map(gpu, Value<std::uint32_t>{0}, work.counts, n * SampleWork::ordinals);
  }
  Gumbel noise;
  std::copy(generate::gumbel_bf16().begin(), generate::gumbel_bf16().end(), noise.value);
  const auto noise_there = gpu.scratch<Gumbel>(1);
  gpu.upload(noise_there.get(), &noise, sizeof noise);

  const dim3 grid = blocks(work.chunks(), n), block = blocks(SampleWork::threads);
  gpu.run(scale_logits_kernel<SampleWork>,
          {.grid = grid, .block = block, .shared = SampleWork::threads * sizeof(ChunkPeak), .overlaps = true}, work);
  if (filters) find_nucleus(gpu, work, n);
  gpu.run(draw_kernel<SampleWork>, {.grid = grid, .block = block, .shared = sizeof(DrawShared), .overlaps = true}, work,
          noise_there.get());
  gpu.run(report_kernel<SampleWork>,
          {.grid = grid, .block = block, .shared = ReportShared::bytes(work), .overlaps = true}, work);
  gpu.run(finish_draw_kernel<SampleWork>,
          {.grid = blocks(n), .block = block, .shared = ReportShared::bytes(work), .overlaps = true}, work);
  std::vector<Drawn> drawn(draws.size());
  gpu.download(drawn.data(), work.drawn, n * static_cast<index_t>(sizeof(Drawn)));
  return drawn;
}

}  // namespace tess::cuda
