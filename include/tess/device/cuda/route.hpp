// Routing on the GPU: a warp a token for softmax and top-k, a thread a token or a row for any other policy.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>
#include <span>

#include "../token_group.hpp"
#include "../top_k_routing.hpp"
#include "block_sum.hpp"
#include "gpu.hpp"
#include "indexing.hpp"

namespace tess::cuda {

/// Logits [rows, tokens, experts] of a part of a batch, of which the first row is row `first` of the whole -> the
/// choices of each token and their weights, [rows, tokens, k].
struct Routing {
  const f32* logits;
  i32* ids;
  f32* weights;
  index_t first, rows, tokens, experts, k;

  constexpr index_t all_tokens() const { return rows * tokens; }
  __device__ std::span<const f32> logits_of(index_t token) const { return span(logits + token * experts, experts); }
  __device__ std::span<i32> ids_of(index_t token) const { return span(ids + token * k, k); }
  __device__ std::span<f32> weights_of(index_t token) const { return span(weights + token * k, k); }
  __device__ TokenGroup group(index_t row) const {
    const index_t at = row * tokens;
    return {first + row, tokens, span(logits + at * experts, tokens * experts), span(ids + at * k, tokens * k),
            span(weights + at * k, tokens * k)};
  }
  template <class T>
  __device__ static std::span<T> span(T* data, index_t n) {
    return {data, static_cast<std::size_t>(n)};
  }
};

namespace routing {
inline constexpr int threads = 128;

/// A score and its number: of equal scores the lowest number is the best.
struct Best {
  f32 score;
  i32 number;
};
__device__ inline bool is_better(const Best& a, const Best& b) {
  return a.score > b.score || (a.score == b.score && a.number < b.number);
}
__device__ inline Best best_of_warp(Best best) {
  for (int apart = 16; apart > 0; apart /= 2) {
    const Best other{__shfl_xor_sync(all_lanes, best.score, apart), __shfl_xor_sync(all_lanes, best.number, apart)};
    if (is_better(other, best)) best = other;
  }
  return best;
}
}  // namespace routing

/// TopKRouting, a warp a token: lane l has the logits l, l + 32, …, `held` of them.
template <int held>
__global__ void __launch_bounds__(routing::threads) top_k_kernel(Routing r, TopKRouting how) {
  follow_previous_kernel();
  const index_t token = static_cast<index_t>(blockIdx.x) * (routing::threads / 32) + threadIdx.x / 32;
  if (token >= r.all_tokens()) return;  // whole warps
  constexpr f32 lowest = -std::numeric_limits<f32>::infinity();
  const i32 lane = static_cast<i32>(threadIdx.x % 32), experts = static_cast<i32>(r.experts);
  const f32* logits = r.logits + token * r.experts;
  f32 score[held];
  f32 largest = lowest;
  for (int j = 0; j < held; ++j) {
    score[j] = lane + 32 * j < experts ? logits[lane + 32 * j] : lowest;
    largest = fmaxf(largest, score[j]);
  }
  for (int apart = 16; apart > 0; apart /= 2) largest = fmaxf(largest, __shfl_xor_sync(all_lanes, largest, apart));
  f32 sum = 1;
  if (how.softmax_first) {
    sum = 0;
    for (int j = 0; j < held; ++j)
      if (lane + 32 * j < experts) sum += score[j] = expf(score[j] - largest);
    sum = warp_sum(sum);
    for (int j = 0; j < held; ++j)
      if (lane + 32 * j < experts) score[j] /= sum;
  }
  f32 chosen = 0;
  unsigned taken = 0;  // a bit for each that the lane holds
  for (index_t choice = 0; choice < r.k; ++choice) {
    routing::Best best{lowest, experts};
    for (int j = 0; j < held; ++j)
      if (const routing::Best own{score[j], lane + 32 * j}; own.number < experts && !(taken >> j & 1))
        if (routing::is_better(own, best)) best = own;
    best = routing::best_of_warp(best);
    if (best.number == experts)
      best = {std::numeric_limits<f32>::quiet_NaN(), static_cast<i32>(choice)};  // all are NaN
    if (best.number % 32 == lane) taken |= 1u << best.number / 32;
    const f32 weight = how.softmax_first ? best.score : expf(best.score - largest);
    chosen += weight;
    if (lane == 0) {
      r.ids[token * r.k + choice] = best.number;
      r.weights[token * r.k + choice] = weight;
    }
  }
  if (!how.normalize || lane != 0) return;
  for (index_t choice = 0; choice < r.k; ++choice) r.weights[token * r.k + choice] /= chosen;
}

/// Any policy: a thread a token.
template <class Choose, class... Given>
__global__ void __launch_bounds__(routing::threads)
    route_tokens_kernel(Routing r, Choose choose, const Given*... given) {
  follow_previous_kernel();
  const index_t token = static_cast<index_t>(blockIdx.x) * routing::threads + threadIdx.x;
  if (token >= r.all_tokens()) return;
  const auto logits = r.logits_of(token);
  if constexpr (requires {
                  choose(token, logits, Routing::span(given, r.experts)..., r.ids_of(token), r.weights_of(token));
                })
    choose(token, logits, Routing::span(given, r.experts)..., r.ids_of(token), r.weights_of(token));
  else choose(logits, Routing::span(given, r.experts)..., r.ids_of(token), r.weights_of(token));
}
/// A policy that looks at all tokens of a row: a thread a row.
template <class Choose, class... Given>
__global__ void route_groups_kernel(Routing r, Choose choose, const Given*... given) {
  follow_previous_kernel();
  if (threadIdx.x == 0) choose.group(r.group(blockIdx.x), Routing::span(given, r.experts)...);
}

/// `given`: f32 [experts] for every token alike.
template <class Choose, class... Given>
void route(Gpu& gpu, const Routing& r, Choose choose, const Given*... given) {
  if constexpr (requires(const TokenGroup& g, std::span<const Given>... rows) { choose.group(g, rows...); }) {
    const index_t rows = r.tokens > 0 ? r.rows : 0;
    gpu.run(route_groups_kernel<Choose, Given...>, {.grid = blocks(rows), .block = dim3(32), .overlaps = true}, r,
            choose, given...);
  } else {
    if constexpr (sizeof...(Given) == 0 && requires { choose.as_top_k(); })
      if (r.experts <= 256) {
        const Launch warps{.grid = blocks(ceil_div(r.all_tokens(), index_t{routing::threads / 32})),
                           .block = dim3(routing::threads),
                           .overlaps = true};
        return gpu.run(r.experts <= 32 ? top_k_kernel<1> : top_k_kernel<8>, warps, r, choose.as_top_k());
      }
    gpu.run(route_tokens_kernel<Choose, Given...>,
            {.grid = blocks(ceil_div(r.all_tokens(), index_t{routing::threads})),
             .block = dim3(routing::threads),
             .overlaps = true},
            r, choose, given...);
  }
}

}  // namespace tess::cuda
