// What becomes of the sums of a streaming product: they are stored, gated by a second product, or combined by token.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tile_parts.hpp"

namespace tess::cuda::stream {

/// y = x · w
template <class Y>
struct Store {
  static constexpr int operands = 1;
  static constexpr bool combines = false;
  Y* y;
  index_t ldy, y_step;

  /// Four columns of one row; `there` of them lie in y.
  __device__ void operator()(index_t matrix, index_t row, index_t column, index_t there, const float (&v)[1][4]) const {
    store_run(y + matrix * y_step + row * ldy + column, v[0], there);
  }
};

/// y = f(x · gate, x · up)
template <class Y, class F>
struct Gate {
  static constexpr int operands = 2;
  static constexpr bool combines = false;
  Y* y;
  index_t ldy;
  F f;

  __device__ void operator()(index_t, index_t row, index_t column, index_t there, const float (&v)[2][4]) const {
    float gated[4];
#pragma unroll
    for (int c = 0; c < 4; ++c) gated[c] = static_cast<float>(f(v[0][c], v[1][c]));
    store_run(y + row * ldy + column, gated, there);
  }
};

/// y[token] = the sum over its choices, in order, of weight · row: when all rows of a column tile are there.
template <class Y>
struct Combine {
  static constexpr int operands = 1;
  static constexpr bool combines = true;
  Y* y;                  // [tokens, columns]
  f32* rows;             // [tokens · choices, columns], working memory
  const i32* positions;  // [tokens, choices]: rows; -1: none
  const f32* weights;    // [tokens, choices]
  index_t tokens, choices, columns;

  __device__ void operator()(index_t, index_t row, index_t column, index_t there, const float (&v)[1][4]) const {
    store_run(rows + row * columns + column, v[0], there);
  }
  /// Columns [begin, end) of all tokens. By a block.
  __device__ void combine(index_t begin, index_t end) const {
    const index_t width = end - begin;
    for (index_t i = threadIdx.x; i < tokens * width; i += blockDim.x) {
      const index_t token = i / width, column = begin + i % width;
      float sum = 0.0f;
      for (index_t j = token * choices; j < (token + 1) * choices; ++j)
        if (positions[j] >= 0) sum += weights[j] * rows[positions[j] * columns + column];
      y[token * columns + column] = static_cast<Y>(sum);
    }
  }
};

}  // namespace tess::cuda::stream
