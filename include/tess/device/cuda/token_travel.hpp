// Tokens that travel to their experts and back, on the GPU: who goes where, packing, and the sum at home.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../expert_places.hpp"
#include "expert_rows.hpp"

namespace tess::cuda {

/// Of one device: which of its tokens go to each place of its group. slot i32 [P, tokens]: where a token stands among
/// those that go to a place, no_expert if it does not; counts i32 [P].
struct Travellers {
  i32* slot;
  i32* counts;
  index_t places, tokens;

  /// Where the parcel of a place begins, if parcels lie one behind another.
  __device__ index_t parcel(index_t place) const {
    index_t begin = 0;
    for (index_t p = 0; p < place; ++p) begin += counts[p];
    return begin;
  }
};

/// Block p finds who goes to place p: in the order of tokens, once each, however many of its experts are there.
template <int threads>
__global__ void __launch_bounds__(threads)
    list_travellers_kernel(Travellers to, Choices home, ExpertPlaces places, index_t device, Fault* fault) {
  struct Shared {
    i32 in_warp[threads / 32];
  };
  Shared& shared = *reinterpret_cast<Shared*>(shared_memory());
  const index_t place = blockIdx.x, own = places.own();
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  i32 before = 0;
  for (index_t first = 0; first < to.tokens; first += threads) {
    const index_t token = first + threadIdx.x;
    bool goes = false;
    for (index_t j = 0; j < home.k && token < to.tokens; ++j) {
      const i32 id = home.ids[token * home.k + j];
      if (id < 0 || id >= places.experts) numbering::check_expert(id, {0, own, places.experts}, fault);
      else goes = goes || places.holder(device, id) == place;
    }
    const unsigned going = __ballot_sync(all_lanes, goes);
    if (lane == 0) shared.in_warp[warp] = __popc(going);
    __syncthreads();
    i32 earlier = 0, all = 0;
    for (unsigned w = 0; w < threads / 32; ++w) {
      if (w == warp) earlier = all;
      all += shared.in_warp[w];
    }
    if (token < to.tokens)
      to.slot[place * to.tokens + token] =
          goes ? before + earlier + static_cast<i32>(__popc(going & ((1u << lane) - 1))) : no_expert;
    before += all;
    __syncthreads();
  }
  if (threadIdx.x == 0) to.counts[place] = before;
}

/// A block for each token: its row, choices and weights into the parcels for the places that it goes to.
template <class T>
__global__ void __launch_bounds__(expert_rows::threads)
    pack_tokens_kernel(T* rows, i32* ids, f32* weights, Travellers to, const T* x, const i32* home_ids,
                       const f32* home_weights, index_t width, index_t k, bool whole) {
  const index_t token = blockIdx.x;
  for (index_t place = 0, begin = 0; place < to.places; begin += to.counts[place++]) {
    const i32 slot = to.slot[place * to.tokens + token];
    if (slot == no_expert) continue;
    expert_rows::copy(rows + (begin + slot) * width, x + token * width, width, whole);
    for (index_t j = threadIdx.x; j < k; j += expert_rows::threads) {
      ids[(begin + slot) * k + j] = home_ids[token * k + j];
      weights[(begin + slot) * k + j] = home_weights[token * k + j];
    }
  }
}

/// A block for each token: the sum of what came home for it, in the order of places; zeros where it was nowhere.
/// `sums`: parcels one behind another.
template <class Y>
__global__ void __launch_bounds__(expert_rows::threads)
    add_returned_kernel(Y* y, const Y* sums, Travellers to, index_t width, bool whole) {
  const index_t token = blockIdx.x;
  for (index_t at = expert_rows::first_four(); at < width; at += expert_rows::four_step) {
    Four sum{};
    for (index_t place = 0, begin = 0; place < to.places; begin += to.counts[place++]) {
      const i32 slot = to.slot[place * to.tokens + token];
      if (slot == no_expert) continue;
      const Four row = load_four(sums + (begin + slot) * width, at, width, whole);
      for (int i = 0; i < 4; ++i) sum.at[i] += row.at[i];
    }
    store_four(y + token * width, at, width, whole, sum);
  }
}

/// Who of the tokens `home` of a device goes where. Reports ids outside the model.
inline void list_travellers(Gpu& gpu, const Travellers& to, const Choices& home, const ExpertPlaces& places,
                            index_t device) {
  constexpr int threads = 256;
  gpu.run(list_travellers_kernel<threads>,
          {.grid = blocks(to.places), .block = dim3(threads), .shared = threads / 32 * sizeof(i32)}, to, home, places,
          device, gpu.fault());
}

/// Parcels for all places, one behind another: rows [n, width], ids and weights [n, k].
template <class T>
void pack_tokens(Gpu& gpu, T* rows, i32* ids, f32* weights, const Travellers& to, const T* x, const i32* home_ids,
                 const f32* home_weights, index_t width, index_t k) {
  gpu.run(pack_tokens_kernel<T>, {.grid = blocks(to.tokens), .block = dim3(expert_rows::threads)}, rows, ids, weights,
          to, x, home_ids, home_weights, width, k, whole_fours(width));
}

/// y [tokens, width] from the parcels of all places.
template <class Y>
void add_returned(Gpu& gpu, Y* y, const Y* sums, const Travellers& to, index_t width) {
  gpu.run(add_returned_kernel<Y>, {.grid = blocks(to.tokens), .block = dim3(expert_rows::threads)}, y, sums, to, width,
          whole_fours(width));
}

}  // namespace tess::cuda
