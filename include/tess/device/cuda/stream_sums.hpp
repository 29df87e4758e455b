// The sums of a warp in a streaming product: its columns of y, few rows, over its part of K, in registers.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "stream_weights.hpp"

namespace tess::cuda::stream {

/// Bytes of x of one step for 8 rows: lane (g, t) has row g, K 8t … 8t + 7, in chunks as those of the weights.
template <class X>
inline constexpr int activation_bytes = 8 * static_cast<int>(sizeof(X)) / 16 * chunk;

/// Rows of shared memory in which the warps of a block put their sums together. Rows 2t and 2t + 1 of the tensor cores'
/// result are held by one lane; in this order, and with rows 16 bytes longer than a multiple of 128, the lanes that
/// store at the same time store to different banks.
__device__ inline int place_of_row(int row) { return row / 8 * 8 + row % 2 * 4 + row % 8 / 2; }

/// On tensor cores: bf16 weights by one or two bf16 terms of x.
template <class W, class X, int RowTiles>
class TensorSums {
  static constexpr int lane_columns = WarpColumns<W>::lane_columns, tiles = lane_columns / 2;

 public:
  static constexpr bool lanes_share_activations = false;
  __device__ TensorSums() { clear(); }

  /// Adds one step of K. `at`: the lane's chunks of weights, then of x; the first `row_tiles` 8 rows of x are there.
  __device__ void add(const std::byte* at, int row_tiles, bool two_terms, int) {
    add_tiles<1>(at, row_tiles, two_terms);
  }

  /// Of int8, from sums of one group: this += sums · the scales of their columns; sums = 0.
  template <class E>
  __device__ void add_scaled(TensorSums& sums, const Weights<E>& w, int matrix, int group, int column, int lane) {
#pragma unroll
    for (int half = 0; half < lane_columns / 8; ++half) {
      float scale[8];
      load_scales(scale, w, matrix, group, column + lane / 4 * lane_columns + 8 * half);
#pragma unroll
      for (int n = 0; n < RowTiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int d = 0; d < 4; ++d) {
            sum_[n][4 * half + i][d] += sums.sum_[n][4 * half + i][d] * scale[2 * i + d / 2];
            sums.sum_[n][4 * half + i][d] = 0.0f;
          }
    }
  }

  /// To rows of `pitch` floats, of which the warp's columns begin at `to`.
  __device__ void store(float* to, int pitch, int rows, int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int n = 0; n < RowTiles; ++n)
#pragma unroll
      for (int d = 0; d < 2; ++d) {
        const int row = 8 * n + 2 * t + d;
        if (row >= rows) continue;
        float* at = to + place_of_row(row) * pitch + g * lane_columns;
#pragma unroll
        for (int i = 0; i < tiles; i += 2)
          *reinterpret_cast<float4*>(at + 2 * i) =
              float4{sum_[n][i][d], sum_[n][i][2 + d], sum_[n][i + 1][d], sum_[n][i + 1][2 + d]};
      }
  }

 private:
  float sum_[RowTiles][tiles][4];  // of the lane's columns 2i (d < 2) and 2i + 1, by rows 8n + 2t + d % 2

  /// Of N times 8 rows, or of more where there are.
  template <int N>
  __device__ void add_tiles(const std::byte* at, int row_tiles, bool two_terms) {
    if constexpr (N < RowTiles)
      if (row_tiles > N) return add_tiles<N + 1>(at, row_tiles, two_terms);
    std::uint32_t high[N][4], low[N][4];
#pragma unroll
    for (int n = 0; n < N; ++n) load_terms(high[n], low[n], at + weight_bytes + n * activation_bytes<X>, two_terms);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Half<W> weights(at, h);
#pragma unroll
      for (int i = 0; i < tiles; ++i) {
        std::uint32_t a[4];
        weights.tile(a, i);
#pragma unroll
        for (int n = 0; n < N; ++n) {
          multiply_add(sum_[n][i], a, {high[n][2 * h], high[n][2 * h + 1]});
          if constexpr (std::is_same_v<X, f32>) multiply_add(sum_[n][i], a, {low[n][2 * h], low[n][2 * h + 1]});
        }
      }
    }
  }

  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < RowTiles; ++n)
#pragma unroll
      for (int i = 0; i < tiles; ++i)
#pragma unroll
        for (int d = 0; d < 4; ++d) sum_[n][i][d] = 0.0f;
  }

  /// Pairs along K as operand B. x = high + low but for 2^-17 of it; low = 0 of one term.
  __device__ static void load_terms(std::uint32_t (&high)[4], std::uint32_t (&low)[4], const std::byte* at,
                                    bool two_terms) {
    if constexpr (std::is_same_v<X, bf16>) {
      const Words x = *reinterpret_cast<const Words*>(at);
#pragma unroll
      for (int i = 0; i < 4; ++i) high[i] = x.word[i];
    } else {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 x = *reinterpret_cast<const float4*>(at + half * chunk);
        split(high[2 * half], low[2 * half], x.x, x.y, two_terms);
        split(high[2 * half + 1], low[2 * half + 1], x.z, x.w, two_terms);
      }
    }
  }
  __device__ static void split(std::uint32_t& high, std::uint32_t& low, float a, float b, bool two_terms) {
    high = pack_bf16(a, b);
    low = two_terms ? pack_bf16(a - __uint_as_float(high << 16), b - __uint_as_float(high & 0xffff0000u)) : 0;
  }
};

/// In f32, for f32 weights. Every lane multiplies its rows of K of its four columns with all rows of x; the four lanes
/// of a column add up at the end.
template <class X, int RowTiles>
class PlainSums {
 public:
  static constexpr bool lanes_share_activations = true;
  __device__ PlainSums() {
#pragma unroll
    for (int row = 0; row < 8 * RowTiles; ++row)
#pragma unroll
      for (int c = 0; c < 4; ++c) sum_[row][c] = 0.0f;
  }

  __device__ void add(const std::byte* at, int row_tiles, bool, int lane) {
    float w[8][4];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const Words v = *reinterpret_cast<const Words*>(at + i * chunk);
#pragma unroll
      for (int c = 0; c < 4; ++c) w[i][c] = __uint_as_float(v.word[c]);
    }
    const std::byte* of_row_0 = at + weight_bytes - (lane - lane % 4) * 16;
#pragma unroll
    for (int n = 0; n < RowTiles; ++n) {
      if (n >= row_tiles) continue;
#pragma unroll
      for (int g = 0; g < 8; ++g) {
        float x[8];
        load_row(x, of_row_0 + n * activation_bytes<X> + g * 4 * 16);
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
          for (int c = 0; c < 4; ++c) sum_[8 * n + g][c] += x[i] * w[i][c];
      }
    }
  }

  __device__ void store(float* to, int pitch, int rows, int lane) {
#pragma unroll
    for (int row = 0; row < 8 * RowTiles; ++row) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        sum_[row][c] += __shfl_xor_sync(0xffffffffu, sum_[row][c], 1);
        sum_[row][c] += __shfl_xor_sync(0xffffffffu, sum_[row][c], 2);
      }
      if (row < rows && row % 4 == lane % 4)
        *reinterpret_cast<float4*>(to + place_of_row(row) * pitch + lane / 4 * 4) =
            float4{sum_[row][0], sum_[row][1], sum_[row][2], sum_[row][3]};
    }
  }

 private:
  float sum_[8 * RowTiles][4];

  __device__ static void load_row(float (&x)[8], const std::byte* at) {
    if constexpr (std::is_same_v<X, bf16>) {
      const Words v = *reinterpret_cast<const Words*>(at);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = __uint_as_float(i % 2 ? v.word[i / 2] & 0xffff0000u : v.word[i / 2] << 16);
    } else {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 v = *reinterpret_cast<const float4*>(at + half * chunk);
        x[4 * half] = v.x, x[4 * half + 1] = v.y, x[4 * half + 2] = v.z, x[4 * half + 3] = v.w;
      }
    }
  }
};

template <class W, class X, int RowTiles>
struct sums_of {
  using type = TensorSums<W, X, RowTiles>;
};
template <class X, int RowTiles>
struct sums_of<Weights<f32>, X, RowTiles> {
  using type = PlainSums<X, RowTiles>;
};

}  // namespace tess::cuda::stream
