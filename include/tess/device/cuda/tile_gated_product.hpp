// f(x · gate, x · up) in one kernel on Hopper's tensor cores: neither product is stored.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tile_product.hpp"

namespace tess::cuda {

/// As a HopperTile, of which one warpgroup makes 128 columns of gate, and the other the same 128 of up; and room to exchange
/// 16 sums of each thread at a time.
template <class E, int Terms, int Rows>
struct GatedTile : HopperTile<E, Terms, Rows> {
  using Base = HopperTile<E, Terms, Rows>;
  static constexpr int gate_columns = 128, exchange_bytes = 16 * 256 * 4;
  static constexpr index_t shared = Base::shared + exchange_bytes;
  static_assert(shared <= 227 << 10);
};

#if TESS_HAS_HOPPER_ISA
namespace hopper {

/// One half of f(gate, up): each warpgroup gives the other the sums of that one's rows, and keeps those of its own. A thread
/// of one has the same places in its tile as its twin in the other.
template <int Rows, bool IsGate, class F>
__device__ void exchange_and_apply(Sums<Rows>& sums, float* desk, const F& f) {
  constexpr int half = Rows / 4, kept = IsGate ? 0 : half, given = half - kept;
  const int thread = static_cast<int>(threadIdx.x) - 128, twin = thread ^ 128;
#pragma unroll
  for (int i = 0; i < half; i += 8) {
    synchronize_threads<256>(1);  // what was there is read
#pragma unroll
    for (int j = 0; j < 16; ++j) desk[j * 256 + thread] = sums[j / 8][given + i + j % 8];
    synchronize_threads<256>(1);
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      float& own = sums[j / 8][kept + i + j % 8];
      const float other = desk[j * 256 + twin];
      own = static_cast<float>(IsGate ? f(own, other) : f(other, own));
    }
  }
}

}  // namespace hopper
#endif

/// y = f(x · w, x · up) of f32. `p` is told of w; up has the same extents.
template <class E, int Terms, int Rows, class F>
__global__ void __launch_bounds__(384, 1)
    tile_gated_product(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap gate_map,
                       const __grid_constant__ TensorMap up_map, TileProduct<E, f32> p, Weights<E> up, const F f) {
#if TESS_HAS_HOPPER_ISA
  using Shape = GatedTile<E, Terms, Rows>;
  using Box = hopper::WeightBox<E, Order::k_by_n>;
  hopper::Ring<Shape> ring;
  float* const desk = reinterpret_cast<float*>(ring.memory + Shape::Base::shared);
  if (threadIdx.x == 0) ring.make();
  __syncthreads();
  TileWalk<Rows, Shape::gate_columns> walk(p.space);
  if (threadIdx.x < 128) {
    release_registers<24>();
    if (threadIdx.x == 0)
      hopper::ask_for_steps<Shape, Terms>(
          ring, walk, p, x_map, [&](std::byte* to, Barrier& full, const Tile& tile, std::int32_t k) {
            hopper::copy_weights<E, Order::k_by_n>(to, gate_map, full, tile, k, Box::count / 2);
            hopper::copy_weights<E, Order::k_by_n>(to + Shape::w_bytes / 2, up_map, full, tile, k, Box::count / 2);
          });
  } else {
    acquire_registers<240>();
    const int in_step = (static_cast<int>(threadIdx.x) - 128) / 32 * 32, in_tile = in_step % 128;  // the warp's columns
    for (Tile tile; walk.next(tile);) {
      const Steps steps = steps_of(0, 1, p.w.rows, Shape::depth);
      const index_t column = tile.column + in_tile;
      hopper::Sums<Rows> sums = {};
      hopper::add_steps<Shape, E, Order::k_by_n, Terms>(sums, ring, steps, tile, in_step);
      if (in_step < 128) {
        hopper::scale_sums<Rows>(sums, p.w, steps, tile.matrix, column);
        hopper::exchange_and_apply<Rows, true>(sums, desk, f);
        hopper::store<Rows, 0, Rows / 4>(sums, p, tile, column);
      } else {
        hopper::scale_sums<Rows>(sums, up, steps, tile.matrix, column);
        hopper::exchange_and_apply<Rows, false>(sums, desk, f);
        hopper::store<Rows, Rows / 4, Rows / 2>(sums, p, tile, column);
      }
    }
  }
#elif __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1000
  __trap();  // made for sm_90; it has to be sm_90a
#endif
}

namespace detail {

template <int Terms, int Rows, class X, class E, class F>
void run_gated(Gpu& gpu, const Product<X, Weights<E>, f32>& p, const Weights<E>& up, const F& f) {
  using Shape = GatedTile<E, Terms, Rows>;
  const TermRows x = split_into_terms<Terms>(gpu, p);
  const TileProduct<E, f32> tiles = tiles_of<Terms>(p, x);
  const index_t grid = std::min(tiles.space.bound(Rows, Shape::gate_columns), index_t{gpu.multiprocessors()});
  gpu.run(tile_gated_product<E, Terms, Rows, F>,
          {.grid = blocks(grid), .block = dim3(Shape::threads), .shared = Shape::shared},
          map_of_terms<Terms, Rows>(tiles), map_of_weights<Order::k_by_n>(p.w), map_of_weights<Order::k_by_n>(up),
          tiles, up, f);
}

}  // namespace detail

/// y = f(x · p.w, x · up) where that is one kernel: on Hopper, weights with one group of scales, and grouped rows or tiles
/// enough to fill the GPU. False otherwise, and where cuBLASLt makes the products: then nothing was done.
template <class X, class E, class F>
bool tile_gated_product([[maybe_unused]] Gpu& gpu, [[maybe_unused]] const Product<X, Weights<E>, f32>& p,
                        [[maybe_unused]] const Weights<E>& up, [[maybe_unused]] const F& f) {
  if constexpr (!std::is_same_v<E, f32>) {
    if (!gpu.has_wgmma() || p.w.groups > 1 || up.groups > 1 || p.w.rows == 0 || p.w.columns == 0) return false;
    if (TESS_HAS_CUBLASLT && std::is_same_v<E, bf16> && !p.offsets) return false;
    if (!p.offsets && ceil_div(p.rows, 128) * ceil_div(p.w.columns, 128) < gpu.multiprocessors()) return false;
    if (p.rows == 0) return true;
    const auto run = [&]<int Terms>(std::integral_constant<int, Terms>) {
      if (rows_a_matrix(p) <= 64) detail::run_gated<Terms, 64>(gpu, p, up, f);
      else detail::run_gated<Terms, 128>(gpu, p, up, f);
    };
    if (std::is_same_v<X, bf16> || p.terms == Terms::one) run(std::integral_constant<int, 1>{});
    else if constexpr (!std::is_same_v<X, bf16>) run(std::integral_constant<int, 2>{});
    return true;
  }
  return false;
}

}  // namespace tess::cuda
