// The kernel of products that wait for their weights: few rows of x, every matrix read once.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "stream_finish.hpp"
#include "stream_sums.hpp"

namespace tess::cuda::stream {

/// How a block works: 8 warps, of which ColumnWarps lie side by side along a tile's columns, and the others behind them
/// along K. Few rows, 8: two blocks on a multiprocessor with 32 KiB of copies under way each; more: one block with 64
/// KiB. By Little's law 18.5 bytes a clock (H200: 4.3 TB/s by 132 multiprocessors) that arrive after some 1200 clocks
/// need 22 KiB. Four warps side by side read 512 bytes of every row of an int8 matrix together, and x once through L1;
/// two make tiles enough of a small matrix.
/// Instructions, int8 by two terms, for the 4096 bytes of a step, as ptxas makes them: 256 to make bf16 of int8, 26
/// copies and loads, 32 products for every 8 rows, 458 in all; 4096 bytes take 220 clocks, in which a multiprocessor
/// issues 880.
template <int RowTiles, int ColumnWarps, bool ByGroup>
struct Shape {
  static constexpr int row_tiles = RowTiles, rows = 8 * RowTiles;
  static constexpr bool by_group = ByGroup;  // K has several groups of scales, each with its own sums
  static constexpr int warps = 8, threads = 32 * warps, column_warps = ColumnWarps, k_warps = warps / ColumnWarps;
  static constexpr int stages = RowTiles == 1 ? 2 : 3;  // of copies
  static constexpr int blocks = RowTiles == 1 ? 2 : 1;  // on a multiprocessor
};

/// What the kernel is told.
template <class X, class W, int Operands>
struct Task {
  const X* x;
  index_t ldx, x_step;  // a row's chunks of 16 bytes are aligned and whole
  W w[Operands];
  Chunks chunks;
  int steps, column_tiles;
  bool two_terms;
  bool early;               // w may be read before the kernel ahead has ended, and is known: there are no offsets
  int least_units;          // of a block
  f32* parts;               // [2 · blocks, rows, columns of a tile]
  std::uint32_t* arrivals;  // [blocks + column tiles], zero before and after
};

template <class S, class W>
inline constexpr int tile_columns = S::column_warps* WarpColumns<W>::count;  // of all operands together

/// The steps of K of one warp: every k_warps-th of a block's, so that together the warps of a block read what lies
/// together.
class Steps {
 public:
  /// Of steps [first, last) of the matrix.
  template <class W>
  __device__ Steps(const W& w, int first, int last, int k_warp, int k_warps)
      : at_((first + k_warp) * step_rows), end_(behind(w, last)), stride_(k_warps * step_rows) {}

  __device__ bool any() const { return at_ < end_; }
  /// The rows [at(), until()) of K.
  __device__ int at() const { return at_; }
  __device__ int until() const { return at_ + step_rows < end_ ? at_ + step_rows : end_; }
  __device__ void advance() { at_ += stride_; }

 protected:
  int at_, end_, stride_;

  template <class W>
  __device__ static int behind(const W& w, int last) {
    const int K = static_cast<int>(contracted(w));
    return last * step_rows < K ? last * step_rows : K;
  }
};

/// The same where K has groups of scales, whose edges cut steps: steps that lie together, which share groups.
class GroupSteps : public Steps {
 public:
  template <class E>
  __device__ GroupSteps(const Weights<E>& w, int first, int last, int k_warp, int k_warps)
      : Steps(w, first + (last - first) * k_warp / k_warps, first + (last - first) * (k_warp + 1) / k_warps, 0, 1),
        group_rows_(static_cast<int>(w.group_rows)),
        group_(any() ? static_cast<int>(w.group_of(at_)) : 0),
        group_end_(static_cast<int>((group_ + 1) * w.group_rows - w.first_group_offset)) {}

  __device__ int until() const {
    const int step = (at_ / step_rows + 1) * step_rows, least = step < group_end_ ? step : group_end_;
    return least < end_ ? least : end_;
  }
  __device__ void advance() {
    at_ = until();
    if (at_ == group_end_) group_end_ += group_rows_, ++group_;
  }
  __device__ int group() const { return group_; }

 private:
  int group_rows_, group_, group_end_;
};

/// x of a warp's chunk of rows: lane (g, t) copies what it multiplies, K 8t … 8t + 7 of rows g, g + 8 …
template <class X, bool Shared>
struct WarpRows {
  const X* at;
  index_t ldx;
  int rows, K;

  __device__ WarpRows(const X* x, index_t ldx_, index_t K_, int rows_, int lane)
      : at(x + lane / 4 * ldx_ + lane % 4 * 8), ldx(ldx_), rows(rows_), K(static_cast<int>(K_)) {}

  __device__ void copy(std::byte* to, int begin) const {
    constexpr int elements = 16 / static_cast<int>(sizeof(X));
    const int row = static_cast<int>(threadIdx.x % 32 / 4), k = static_cast<int>(threadIdx.x % 4 * 8);
    const int first = begin / step_rows * step_rows;
    for (int n = 0; 8 * n < rows; ++n)
#pragma unroll
      for (int c = 0; c < 8 / elements; ++c) {
        const bool there = row + 8 * n < rows && first + k + c * elements < K;
        const X* from = at + 8 * n * ldx + first + c * elements;
        std::byte* place = to + n * activation_bytes<X> + c * chunk;
        if constexpr (Shared) copy_async_cached(place, from, there);
        else copy_async(place, from, there);
      }
  }
};

template <class S>
using StepsOf = std::conditional_t<S::by_group, GroupSteps, Steps>;

/// The sums of a warp over some steps of K. Copies run ahead of the sums by stages - 1 steps, of which each lane waits
/// for its own.
template <class S, class X, class W>
__device__ auto sum_steps(const WarpColumns<W>& columns, const WarpRows<X, (S::column_warps > 2)>& rows, const W& w,
                          int matrix, int column, StepsOf<S> now, bool two_terms, bool wait_before_x) {
  using Sums = typename sums_of<W, X, S::row_tiles>::type;
  constexpr int stage_bytes = weight_bytes + S::row_tiles * activation_bytes<X>;
  const int lane = static_cast<int>(threadIdx.x % 32), row_tiles = (rows.rows + 7) / 8;
  std::byte* ring = shared_memory() + threadIdx.x / 32 * (S::stages * stage_bytes) + lane * 16;
  StepsOf<S> ahead = now, weights_ahead = now;
#pragma unroll
  for (int s = 0; s < S::stages - 1; ++s)
    if (weights_ahead.any()) {
      columns.copy(ring + s * stage_bytes, weights_ahead.at(), weights_ahead.until());
      weights_ahead.advance();
    }
  if (wait_before_x) wait_for_previous_kernel();
#pragma unroll
  for (int s = 0; s < S::stages - 1; ++s) {
    if (ahead.any()) {
      rows.copy(ring + s * stage_bytes + weight_bytes, ahead.at());
      ahead.advance();
    }
    commit_copies();
  }
  Sums sums;
  [[maybe_unused]] Sums total;
  int stage = 0, refilled = S::stages - 1;
  while (now.any()) {
    wait_for_copies<S::stages - 2>();
    if constexpr (Sums::lanes_share_activations) __syncwarp();
    if (ahead.any()) {
      std::byte* to = ring + refilled * stage_bytes;
      columns.copy(to, ahead.at(), ahead.until());
      rows.copy(to + weight_bytes, ahead.at());
      ahead.advance();
    }
    commit_copies();
    sums.add(ring + stage * stage_bytes, row_tiles, two_terms, lane);
    if constexpr (S::by_group) {
      const int group = now.group();
      now.advance();
      if (now.group() != group || !now.any()) total.add_scaled(sums, w, matrix, group, column, lane);
    } else {
      now.advance();
    }
    refilled = stage;
    stage = stage + 1 < S::stages ? stage + 1 : 0;
  }
  wait_for_copies<0>();
  if constexpr (requires { requires W::has_scales; }) {
    if constexpr (!S::by_group) total.add_scaled(sums, w, matrix, 0, column, lane);
    return total;
  } else {
    return sums;
  }
}

/// True in one of the `count` blocks that call it for this counter: the last. What the others wrote before can then be
/// read.
__device__ inline bool is_last(std::uint32_t* counter, int count) {
  auto* last = reinterpret_cast<int*>(shared_memory());
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    *last = atomicAdd(counter, 1u) + 1 == static_cast<std::uint32_t>(count);
    if (*last) *counter = 0;
    __threadfence();
  }
  __syncthreads();
  return *last;
}

template <class S, class Finish, class X, class W>
__global__ void __launch_bounds__(S::threads, S::blocks)
    stream_kernel(const __grid_constant__ Task<X, W, Finish::operands> task, const Finish finish) {
  constexpr int operands = Finish::operands, columns = tile_columns<S, W>, own_columns = columns / operands,
                pitch = columns + 4;
  if (!task.early) wait_for_previous_kernel();
  const int chunks = task.chunks.count(), total = chunks * task.column_tiles * task.steps;
  const index_t K = contracted(task.w[0]), N = results(task.w[0]);
  const int block = static_cast<int>(blockIdx.x), grid = static_cast<int>(gridDim.x), most = total / task.least_units;
  const Share share(task.steps, total, most < 1 ? 1 : most < grid ? most : grid);
  const bool works = block < share.blocks() && total > 0;
  bool waited = !task.early;
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int column_warp = warp % S::column_warps, k_warp = warp / S::column_warps;
  const int operand = column_warp / (S::column_warps / operands), beside = column_warp % (S::column_warps / operands);
  auto* const sums = reinterpret_cast<float*>(shared_memory());  // [k_warps, rows, pitch], when the copies are done

  for (int unit = works ? share.begin(block) : 0, end = works ? share.begin(block + 1) : 0; unit < end;) {
    const int tile = unit / task.steps, first = unit % task.steps,
              count = task.steps - first < end - unit ? task.steps - first : end - unit;
    const int column_tile = tile % task.column_tiles;
    const int column = column_tile * own_columns;
    const Chunk c = task.chunks.at(tile / task.column_tiles);
    const W& w = operand == 0 ? task.w[0] : task.w[operands - 1];
    const int warp_column = column + beside * WarpColumns<W>::count;
    auto own = sum_steps<S, X, W>(WarpColumns<W>(w, c.matrix, warp_column, lane),
                                  {task.x + c.matrix * task.x_step + c.row * task.ldx, task.ldx, K, c.rows, lane}, w,
                                  c.matrix, warp_column, StepsOf<S>(w, first, first + count, k_warp, S::k_warps),
                                  task.two_terms, !waited);
    waited = true;
    let_next_kernel_start();
    __syncthreads();
    own.store(sums + k_warp * S::rows * pitch + column_warp * WarpColumns<W>::count, pitch, c.rows, lane);
    __syncthreads();

    // four columns of a row at a time, of all operands
    const auto each_four = [&](auto f) {
      constexpr int fours = own_columns / 4;
      for (int i = static_cast<int>(threadIdx.x); i < c.rows * fours; i += S::threads) f(i / fours, i % fours * 4);
    };
    const auto of_warps = [&](float(&v)[operands][4], int row, int at) {
      for (int o = 0; o < operands; ++o)
        for (int j = 0; j < 4; ++j) {
          v[o][j] = 0.0f;
          for (int k = 0; k < S::k_warps; ++k)
            v[o][j] += sums[(k * S::rows + place_of_row(row)) * pitch + o * own_columns + at + j];
        }
    };
    const auto done = [&](int row, int at, const float(&v)[operands][4]) {
      if (column + at < N) finish(c.matrix, c.row + row, column + at, N - column - at, v);
    };
    bool whole = true;
    if (count == task.steps) {
      each_four([&](int row, int at) {
        float v[operands][4];
        of_warps(v, row, at);
        done(row, at, v);
      });
    } else {
      const int first_block = share.first_block(tile), last_block = share.last_block(tile);
      const auto part = [&](int b, int row, int o, int at) {
        return reinterpret_cast<float4*>(task.parts + (index_t{share.part(b, tile)} * S::rows + row) * columns +
                                         o * own_columns + at);
      };
      each_four([&](int row, int at) {
        float v[operands][4];
        of_warps(v, row, at);
        for (int o = 0; o < operands; ++o) *part(block, row, o, at) = float4{v[o][0], v[o][1], v[o][2], v[o][3]};
      });
      whole = is_last(task.arrivals + first_block, last_block - first_block + 1);
      if (whole)
        each_four([&](int row, int at) {
          float v[operands][4] = {};
#pragma unroll
          for (int o = 0; o < operands; ++o) {
            constexpr int at_once = 8;  // loads under way
            for (int b = first_block; b <= last_block; b += at_once) {
              float4 p[at_once];
#pragma unroll
              for (int i = 0; i < at_once; ++i)
                p[i] = b + i <= last_block ? *part(b + i, row, o, at) : float4{0, 0, 0, 0};
#pragma unroll
              for (int i = 0; i < at_once; ++i)
                v[o][0] += p[i].x, v[o][1] += p[i].y, v[o][2] += p[i].z, v[o][3] += p[i].w;
            }
          }
          done(row, at, v);
        });
    }
    if constexpr (Finish::combines)
      if (whole && is_last(task.arrivals + grid + column_tile, chunks))
        finish.combine(column, column + own_columns < N ? column + own_columns : N);
    __syncthreads();
    unit += count;
  }
  if (!waited) wait_for_previous_kernel();  // so that who waits for this kernel has waited for those before
  if constexpr (Finish::combines)
    for (index_t t = block; total == 0 && t < task.column_tiles; t += grid)
      finish.combine(t * own_columns, (t + 1) * own_columns < N ? (t + 1) * own_columns : N);
}

}  // namespace tess::cuda::stream
