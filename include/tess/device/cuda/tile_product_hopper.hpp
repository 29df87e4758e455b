// Products that are bound by arithmetic, on the tensor cores of Hopper (sm_90a): wgmma, fed by tensor copies.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "isa_hopper.hpp"
#include "tile_parts.hpp"

namespace tess::cuda {

/// A block of three warpgroups makes tiles of y [rows, 256]: one thread of the first asks for the steps of K, 64 each, into a
/// ring of shared memory; the others make 128 columns each. y is made transposed: W, the columns of y its rows, is operand A
/// and comes from registers, where int8 become bf16 at no cost in shared memory; x is operand B, read by the tensor cores
/// from shared memory as it came.
///   Sums: 128 columns x 128 rows take 128 registers of a consumer's 240. Per 16 of K a warpgroup's two wgmma of 64 x 128
/// take 128 cycles (2048 fused multiply-adds a cycle a multiprocessor); a warp reads 4 words and turns 32 int8 into bf16 by
/// some 40 instructions, and has 256 cycles of its scheduler for that, as two warpgroups take turns. A step reads
/// 32 KB (int8) or 48 KB (bf16) for 1024 cycles of arithmetic: 32 or 48 bytes a cycle, mostly from L2 (TileWalk).
///   Two terms: W's registers serve both, and each has twice the arithmetic. Groups of scales: the sums of a group and those
/// of all need room, hence 64 rows; few rows a matrix, too.
template <class E, int Terms, int Rows>
struct HopperTile {
  static constexpr int rows = Rows, columns = 256, depth = 64, threads = 384;
  static constexpr int x_bytes = rows * depth * 2, w_bytes = depth * columns * static_cast<int>(sizeof(E));
  static constexpr int stage_bytes = Terms * x_bytes + w_bytes;
  static constexpr int stages = 204800 / stage_bytes < 6 ? 204800 / stage_bytes : 6;  // 3 to 6
  static constexpr index_t shared = stages * stage_bytes + 2 * stages * 8;
};

namespace hopper {

/// The boxes that make a step of W: int8 [64, 128], bf16 [64, 64], or K-major bf16 [256, 64].
template <class E, Order W>
struct WeightBox {
  static constexpr int inner = 128 / static_cast<int>(sizeof(E)), outer = W == Order::k_by_n ? 64 : 256;
  static constexpr int count = W == Order::k_by_n ? 256 / inner : 1, bytes = outer * 128;
};

#if TESS_HAS_HOPPER_ISA

/// 16 bytes of a box: rows of 128 bytes, swizzled (tensor_map.hpp).
__device__ constexpr int chunk_at(int row, int chunk) { return row * 128 + (chunk ^ (row & 7)) * 16; }

/// The ring of stages in shared memory, and where a thread is in it. All go through the same steps in the same order.
template <class Shape>
struct Ring {
  std::byte* memory = shared_memory();
  int stage = 0;
  std::uint32_t parity = 0;  // of the passes through the ring

  __device__ Barrier& full(int s) const {
    return reinterpret_cast<Barrier*>(memory + Shape::stages * Shape::stage_bytes)[s];
  }
  __device__ Barrier& empty(int s) const { return full(Shape::stages + s); }
  __device__ std::byte* x() const { return memory + stage * Shape::stage_bytes; }
  __device__ std::byte* w() const { return x() + Shape::stage_bytes - Shape::w_bytes; }
  __device__ void make() const {
    for (int s = 0; s < Shape::stages; ++s) {
      make_barrier(full(s), 1);   // the thread that asks, and the bytes
      make_barrier(empty(s), 8);  // the warps that read
    }
    publish_barriers();
  }
  __device__ void advance() {
    if (++stage == Shape::stages) stage = 0, parity ^= 1;
  }
};

/// The part of the one thread that asks: x of all steps of all tiles of a block, and W by copy(to, barrier, tile, k).
template <class Shape, int Terms, class Walk, class P, class Copy>
__device__ void ask_for_steps(Ring<Shape> ring, Walk walk, const P& p, const TensorMap& x_map, Copy copy_weights) {
  for (Tile tile; walk.next(tile);) {
    const Steps steps = steps_of(tile.split, p.space.splits, p.w.rows, Shape::depth);
    const auto row = static_cast<std::int32_t>(p.x_row(tile));
    for (index_t step = steps.begin; step < steps.end; ++step, ring.advance()) {
      Barrier& full = ring.full(ring.stage);
      wait(ring.empty(ring.stage), ring.parity ^ 1);  // at first: a phase that is over
      arrive_and_expect(full, Shape::stage_bytes);
      const auto k = static_cast<std::int32_t>(step * Shape::depth);
      for (int term = 0; term < Terms; ++term)
        copy_box(ring.x() + term * Shape::rows * Shape::depth * 2, x_map, full, k, row, term);
      copy_weights(ring.w(), full, tile, k);
    }
  }
}
/// The boxes of W, from the first `count`.
template <class E, Order W>
__device__ void copy_weights(std::byte* to, const TensorMap& map, Barrier& full, const Tile& tile, std::int32_t k,
                             int count) {
  using Box = WeightBox<E, W>;
  const auto column = static_cast<std::int32_t>(tile.column), matrix = static_cast<std::int32_t>(tile.matrix);
  for (int b = 0; b < count; ++b, to += Box::bytes)
    if constexpr (W == Order::k_by_n) copy_box(to, map, full, column + b * Box::inner, k, matrix);
    else copy_box(to, map, full, k, column, matrix);
}

using Operand = std::uint32_t[2][4];  // A of 2 x 64 columns of y and 16 of K, of a thread

/// The columns of y that a thread has in its rows of A and of the sums: row g + 8 half of tile m of its warp.
template <class E>
__device__ constexpr int column_of(int m, int half, int g) {
  return std::is_same_v<E, std::int8_t> ? 4 * g + 2 * m + half : 16 * m + 8 * half + g;
}

/// W of 16 rows of K and the warp's 32 columns.
template <class E, Order W>
__device__ void load_weights(Operand& a, const std::byte* w, int k, int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (std::is_same_v<E, std::int8_t>) {
    const int t = lane % 4, at = column % 128 + 4 * (lane / 4);
    w += column / 128 * WeightBox<E, W>::bytes;
    std::uint32_t word[4];  // rows 2t, 2t + 1, 2t + 8, 2t + 9; four columns
#pragma unroll
    for (int i = 0; i < 4; ++i) word[i] = load_word(w + chunk_at(k + 2 * t + i % 2 + i / 2 * 8, at / 16) + at % 16);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int m = i / 4, half = i % 2, later = i / 2 % 2;
      a[m][i % 4] = bf16_from_int8(word[2 * later], word[2 * later + 1], static_cast<std::uint32_t>(2 * m + half));
    }
  } else if constexpr (W == Order::k_by_n) {
    w += column / 64 * WeightBox<E, W>::bytes;
#pragma unroll
    for (int m = 0; m < 2; ++m)
      load_matrices_transposed(a[m],
                               w + chunk_at(k + lane % 8 + lane / 16 * 8, column % 64 / 8 + 2 * m + lane / 8 % 2));
  } else {
#pragma unroll
    for (int m = 0; m < 2; ++m) load_matrices(a[m], w + chunk_at(column + 16 * m + lane % 16, k / 8 + lane / 16));
  }
}

/// The rows [begin, end) of K of an operand; zeros for the others.
__device__ inline void keep_rows(Operand& kept, const Operand& a, index_t begin, index_t end) {
  const index_t t = threadIdx.x % 4;
  const auto keeps = [&](index_t k) { return k >= begin && k < end; };
#pragma unroll
  for (int later = 0; later < 2; ++later) {
    const index_t k = 2 * t + 8 * later;
    const std::uint32_t mask = (keeps(k) ? 0xffffu : 0u) | (keeps(k + 1) ? 0xffff0000u : 0u);
#pragma unroll
    for (int i = 2 * later; i < 2 * later + 2; ++i) kept[0][i] = a[0][i] & mask, kept[1][i] = a[1][i] & mask;
  }
}

template <int Rows>
using Sums = float[2][Rows / 2];

/// The sums of the first N rows of a tile.
template <int N, int Half>
__device__ float (&first_rows(float (&sums)[Half]))[N / 2] {
  static_assert(N / 2 <= Half);
  return reinterpret_cast<float(&)[N / 2]>(sums);
}

/// sums += A · x for 16 of K and the first N rows of x, in the background.
template <int N, int Rows, int Terms>
__device__ void multiply(Sums<Rows>& sums, const Operand& a, const std::byte* x, int k) {
  begin_batch();
#pragma unroll
  for (int term = 0; term < Terms; ++term)
#pragma unroll
    for (int m = 0; m < 2; ++m) multiply_add_async(first_rows<N>(sums[m]), a[m], operand_b(x + term * Rows * 128, k));
  commit_batch();
}

/// sums += W^T · x for these steps and the first N rows; the warp's columns begin at `column` of the tile.
template <int N, class Shape, class E, Order W, int Terms>
__device__ void add_steps_of_rows(Sums<Shape::rows>& sums, Ring<Shape>& ring, const Steps& steps, int column) {
  const bool speaks = threadIdx.x % 32 == 0;  // for its warp
  Operand a[2];                               // one is read by the tensor cores while the other is made
  int before = -1;                            // the stage that the tensor cores may still read
  for (index_t step = steps.begin; step < steps.end; ++step, ring.advance()) {
    wait(ring.full(ring.stage), ring.parity);
#pragma unroll
    for (int k = 0; k < Shape::depth; k += 16) {
      load_weights<E, W>(a[k / 16 % 2], ring.w(), k, column);
      multiply<N, Shape::rows, Terms>(sums, a[k / 16 % 2], ring.x(), k);
      wait_for_batches<1>();
      if (k == 0 && before >= 0 && speaks) arrive(ring.empty(before));
    }
    before = ring.stage;
  }
  wait_for_batches<0>();
  if (before >= 0 && speaks) arrive(ring.empty(before));
}

/// The same for the rows that the tile has: the last tile of an expert's rows may be half empty, and is half the work then.
template <class Shape, class E, Order W, int Terms>
__device__ void add_steps(Sums<Shape::rows>& sums, Ring<Shape>& ring, const Steps& steps, const Tile& tile,
                          int column) {
  if (Shape::rows == 128 && tile.row_end - tile.row <= 64)
    add_steps_of_rows<64, Shape, E, W, Terms>(sums, ring, steps, column);
  else add_steps_of_rows<Shape::rows, Shape, E, W, Terms>(sums, ring, steps, column);
}

/// f(sum, its scale, its place). Only int8 have scales; a thread's four columns lie together.
template <int Rows, class E, class F>
__device__ void each_scaled(Sums<Rows>& sums, const Weights<E>& w, index_t matrix, index_t group, index_t column, F f) {
  const index_t at = column + 4 * (threadIdx.x % 32 / 4);
  float scale[4] = {};
  if (at < w.columns) {
    const auto words = *reinterpret_cast<const AlignedWords<2>*>(w.scales_of(matrix) + group * w.scale_pitch + at);
    for (int i = 0; i < 4; ++i)
      scale[i] = __uint_as_float(i % 2 ? words.word[i / 2] & 0xffff0000u : words.word[i / 2] << 16);
  }
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int i = 0; i < Rows / 2; ++i) f(sums[m][i], scale[2 * m + i / 2 % 2], m, i);
}

/// sums *= the scales of the first group, if W has scales and there were any steps.
template <int Rows, class E>
__device__ void scale_sums(Sums<Rows>& sums, const Weights<E>& w, const Steps& steps, index_t matrix, index_t column) {
  if constexpr (Weights<E>::has_scales)
    if (steps.begin < steps.end)
      each_scaled<Rows>(sums, w, matrix, 0, column, [](float& sum, float scale, int, int) { sum *= scale; });
}

/// The same of weights with groups of scales, which may begin and end at any row of K: sums = the groups' sums by their scales.
template <class Shape, class E, Order W, int Terms, class P>
__device__ void add_steps_by_groups(Sums<Shape::rows>& total, Ring<Shape>& ring, const Steps& steps, const P& p,
                                    const Tile& tile, int column) {
  const index_t K = p.w.rows;
  Sums<Shape::rows> sums = {};
  index_t group = p.w.group_of(steps.begin * Shape::depth);
  index_t edge = (group + 1) * p.w.group_rows - p.w.first_group_offset;  // where it ends
  const auto add_group = [&] {
    each_scaled<Shape::rows>(sums, p.w, tile.matrix, group, tile.column + column,
                             [&](float& sum, float scale, int m, int i) {
                               total[m][i] = fmaf(scale, sum, total[m][i]);
                               sum = 0.0f;
                             });
  };
  for (index_t step = steps.begin; step < steps.end; ++step, ring.advance()) {
    wait(ring.full(ring.stage), ring.parity);
    for (int k = 0; k < Shape::depth; k += 16) {
      Operand a, kept;
      load_weights<E, W>(a, ring.w(), k, column);
      const index_t first = step * Shape::depth + k, last = first + 16 < K ? first + 16 : K;
      for (index_t from = first; from < last;) {
        const index_t to = edge < last ? edge : last;
        keep_rows(kept, a, from - first, to - first);
        multiply<Shape::rows, Shape::rows, Terms>(sums, kept, ring.x(), k);
        wait_for_batches<0>();
        if (to == edge) add_group(), ++group, edge += p.w.group_rows;
        from = to;
      }
    }
    if (threadIdx.x % 32 == 0) arrive(ring.empty(ring.stage));
  }
  if (steps.begin < steps.end && group < p.w.groups) add_group();
}

/// Stores a thread's sums [First, Last) of both tiles.
template <int Rows, int First = 0, int Last = Rows / 2, class E, class Y>
__device__ void store(const Sums<Rows>& sums, const TileProduct<E, Y>& p, const Tile& tile, index_t column) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int i = First; i < Last; i += i % 4 ? 3 : 1) {  // 4 j and 4 j + 1
    const index_t row = tile.row + i / 4 * 8 + 2 * t + i % 4;
    if (row >= tile.row_end) continue;
    Y* to = p.y_row(tile, row);
    const float run[4] = {sums[0][i], sums[0][i + 2], sums[1][i], sums[1][i + 2]};
    if constexpr (std::is_same_v<E, std::int8_t>) {
      const index_t at = column + 4 * g;
      store_run(to + at, run, p.w.columns - at);
    } else {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const index_t at = column + column_of<E>(c / 2, c % 2, g);
        if (at < p.w.columns) to[at] = static_cast<Y>(run[c]);
      }
    }
  }
}

#endif
}  // namespace hopper

template <class E, Order W, int Terms, int Rows, bool Groups, class Y>
__global__ void __launch_bounds__(384, 1)
    tile_product_hopper(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap w_map,
                        TileProduct<E, Y> p) {
#if TESS_HAS_HOPPER_ISA
  using Shape = HopperTile<E, Terms, Rows>;
  hopper::Ring<Shape> ring;
  if (threadIdx.x == 0) ring.make();
  __syncthreads();
  TileWalk<Rows, Shape::columns> walk(p.space);
  if (threadIdx.x < 128) {
    release_registers<24>();
    if (threadIdx.x == 0)
      hopper::ask_for_steps<Shape, Terms>(
          ring, walk, p, x_map, [&](std::byte* to, Barrier& full, const Tile& tile, std::int32_t k) {
            hopper::copy_weights<E, W>(to, w_map, full, tile, k, hopper::WeightBox<E, W>::count);
          });
  } else {
    acquire_registers<240>();
    const int column = (static_cast<int>(threadIdx.x) - 128) / 32 * 32;  // the warp's in the tile
    for (Tile tile; walk.next(tile);) {
      const Steps steps = steps_of(tile.split, p.space.splits, p.w.rows, Shape::depth);
      hopper::Sums<Rows> sums = {};
      if constexpr (Groups) {
        hopper::add_steps_by_groups<Shape, E, W, Terms>(sums, ring, steps, p, tile, column);
      } else {
        hopper::add_steps<Shape, E, W, Terms>(sums, ring, steps, tile, column);
        hopper::scale_sums<Rows>(sums, p.w, steps, tile.matrix, tile.column + column);
      }
      hopper::store<Rows>(sums, p, tile, tile.column + column);
    }
  }
#elif __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1000
  __trap();  // made for sm_90; it has to be sm_90a
#endif
}

}  // namespace tess::cuda
