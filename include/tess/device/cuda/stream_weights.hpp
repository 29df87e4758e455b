// How a warp reads weights: 32 rows of K as the tensor cores take them, from memory to registers, each byte once.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "stream_share.hpp"
#include "tile_parts.hpp"

namespace tess::cuda::stream {

/// The columns of one matrix that a warp reads. Lane l, g = l / 4, t = l % 4, copies eight chunks of 16 bytes to shared
/// memory, `chunk` bytes apart, and later reads its own: no lane waits for another. The weights are operand A of the
/// tensor cores, 16 columns by 16 rows of K at a time (tile i of half h). The order of columns and rows is ours to
/// choose, if x and y follow it: a lane has columns [lane_columns · g, + lane_columns), tile i those at 2i and 2i + 1
/// as its rows g and g + 8, and rows 8t … 8t + 7 of K, 8t + 4h … + 3 in half h as its columns 2t, 2t + 1, 2t + 8, 2t +
/// 9. A row-major matrix needs no transposition then: elements of two rows are paired in registers.
template <class W>
class WarpColumns;

inline constexpr int chunk = 512;               // bytes: 16 of every lane
inline constexpr int weight_bytes = 8 * chunk;  // of a warp's 32 rows

/// Row-major: chunk i is part of row 8t + i.
template <class E>
class WarpColumns<Weights<E>> {
 public:
  static constexpr int lane_columns = 16 / static_cast<int>(sizeof(E)), count = 8 * lane_columns;

  __device__ WarpColumns(const Weights<E>& w, index_t matrix, index_t column, int lane)
      : row_(lane % 4 * 8),
        pitch_(w.pitch),
        there_(column + lane / 4 * lane_columns < w.pitch),
        at_(w.matrix(matrix) + column + lane / 4 * lane_columns) {}

  /// Rows [begin, end), which lie in one step of K. The other rows of the step become zeros.
  __device__ void copy(std::byte* to, int begin, int end) const {
    const int first = begin / step_rows * step_rows + row_, before = begin - first;
    const unsigned there = there_ ? static_cast<unsigned>(end - begin) : 0;
    const E* row = at_ + first * pitch_;
#pragma unroll
    for (int i = 0; i < 8; ++i, row += pitch_)
      copy_async(to + i * chunk, row, static_cast<unsigned>(i - before) < there);
  }

 private:
  int row_;
  index_t pitch_;
  bool there_;
  const E* at_;
};

/// K-major: columns are rows of the embedding; chunks 2i and 2i + 1 are K 8t … 8t + 7 of columns 2i and 2i + 1.
template <>
class WarpColumns<EmbeddingRows> {
 public:
  static constexpr int lane_columns = 8, count = 64;

  __device__ WarpColumns(const EmbeddingRows& w, index_t, index_t column, int lane)
      : k_(lane % 4 * 8),
        columns_(static_cast<int>(w.vocabulary - column) - lane / 4 * lane_columns),
        pitch_(w.pitch),
        at_(w.rounded + (column + lane / 4 * lane_columns) * w.pitch + lane % 4 * 8) {}

  __device__ void copy(std::byte* to, int begin, int end) const {
    const int there = begin + k_ < end ? columns_ : 0;  // what a chunk has behind the end is zero
    const bf16* column = at_ + begin;
#pragma unroll
    for (int i = 0; i < 8; ++i, column += pitch_) copy_async(to + i * chunk, column, i < there);
  }

 private:
  int k_, columns_;
  index_t pitch_;
  const bf16* at_;
};

/// Half h of a lane's chunks, in registers.
template <class W>
class Half {
 public:
  __device__ Half(const std::byte* at, int h) {
#pragma unroll
    for (int i = 0; i < 4; ++i) row_[i] = *reinterpret_cast<const Words*>(at + (4 * h + i) * chunk);
  }
  /// Tile i: elements of two rows, side by side.
  __device__ void tile(std::uint32_t (&a)[4], int i) const {
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      const Words &low = row_[2 * pair], &high = row_[2 * pair + 1];
      if constexpr (std::is_same_v<typename W::element, bf16>) {
        a[2 * pair] = permute_bytes(low.word[i], high.word[i], 0x5410u);
        a[2 * pair + 1] = permute_bytes(low.word[i], high.word[i], 0x7632u);
      } else {
        const auto byte = static_cast<std::uint32_t>(i % 2 * 2);
        a[2 * pair] = bf16_from_int8(low.word[i / 2], high.word[i / 2], byte);
        a[2 * pair + 1] = bf16_from_int8(low.word[i / 2], high.word[i / 2], byte + 1);
      }
    }
  }

 private:
  Words row_[4];
};

/// K-major: elements lie as the tensor cores take them.
template <>
class Half<EmbeddingRows> {
 public:
  __device__ Half(const std::byte* at, int h) {
#pragma unroll
    for (int i = 0; i < 8; ++i) column_[i] = *reinterpret_cast<const AlignedWords<2>*>(at + i * chunk + 8 * h);
  }
  __device__ void tile(std::uint32_t (&a)[4], int i) const {
    a[0] = column_[2 * i].word[0], a[1] = column_[2 * i + 1].word[0];
    a[2] = column_[2 * i].word[1], a[3] = column_[2 * i + 1].word[1];
  }

 private:
  AlignedWords<2> column_[8];
};

}  // namespace tess::cuda::stream
