// FileTensor: a tensor of a file as a parameter sees it: a strided part of it, read as another element type.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "../device/host/pack.hpp"
#include "../sharding/device_slice.hpp"
#include "block_scales.hpp"
#include "names.hpp"

namespace tess::io {

/// Elements f32, bf16, f16, f64, i32, or f8_e4m3 with one f32 scale a block of 128 x 128.
struct FileTensor {
  std::string name;
  ArrayView array;
  std::optional<ArrayView> scales;
};

namespace detail {

/// Every e4m3 number.
inline constexpr auto e4m3_values = [] {
  std::array<f32, 256> all{};
  for (std::size_t i = 0; i < 256; ++i) all[i] = e4m3_value(static_cast<std::uint8_t>(i));
  return all;
}();

/// f64 -> f32 so that a second rounding, to bf16, gives what one would have given: what is lost leaves its mark in the
/// last bit. Source: Boldo and Melquiond, IEEE Trans. Computers 57 (2008), "round to odd".
inline f32 rounded_to_odd(f64 x) {
  const auto y = static_cast<f32>(x);
  if (static_cast<f64>(y) == x || !std::isfinite(y)) return y;
  auto bits = std::bit_cast<std::uint32_t>(y);
  if (std::abs(static_cast<f64>(y)) > std::abs(x)) --bits;  // towards zero
  return std::bit_cast<f32>(bits | 1u);
}

/// out[i] = the element at + i · step, i < n, converted by `convert`.
template <class Stored, class T, class Convert>
void convert_run(const std::byte* data, index_t at, index_t step, index_t n, T* out, Convert convert) {
  constexpr auto size = static_cast<index_t>(sizeof(Stored));
  data += at * size;
  if (step == 1)
    for (index_t i = 0; i < n; ++i) out[i] = convert(load<Stored>(data + i * size));
  else
    for (index_t i = 0; i < n; ++i) out[i] = convert(load<Stored>(data + i * step * size));
}

/// The same for f8_e4m3, each element times the scale of its block.
template <class T>
void convert_scaled_run(const FileTensor& t, index_t at, index_t step, index_t n, T* out) {
  const index_t columns = t.array.shape[1], blocks = t.scales->shape[1];
  const auto* data = reinterpret_cast<const std::uint8_t*>(t.array.data.data());
  index_t row = at / columns, column = at % columns;
  while (n > 0) {                       // so many elements under one scale
    const bool along = step < columns;  // a row; or down a column
    const index_t left = along ? std::min(columns, (column / scale_block + 1) * scale_block) - column
                               : (row / scale_block + 1) * scale_block - row,
                  stride = along ? step : step / columns, run = std::min(n, (left + stride - 1) / stride);
    const f32 scale = load<f32>(t.scales->data.data() + (row / scale_block * blocks + column / scale_block) *
                                                            static_cast<index_t>(sizeof(f32)));
    for (index_t i = 0; i < run; ++i) out[i] = T(e4m3_values[data[row * columns + column + i * step]] * scale);
    at += run * step, out += run, n -= run;
    row = at / columns, column = at % columns;
  }
}
}  // namespace detail

/// out[i] = the element at + i · step of t, i < n: exactly, or rounded once to T (f32 or bf16; i32 of an i32 tensor).
template <class T>
void read_run(const FileTensor& t, index_t at, index_t step, index_t n, T* out) {
  const std::byte* data = t.array.data.data();
  const auto from_f32 = [](f32 x) { return static_cast<T>(x); };
  if constexpr (std::is_same_v<T, i32>) {
    detail::convert_run<i32>(data, at, step, n, out, [](i32 x) { return x; });
  } else if (t.array.dtype == DType::f32) {
    detail::convert_run<f32>(data, at, step, n, out, from_f32);
  } else if (t.array.dtype == DType::bf16) {
    detail::convert_run<bf16>(data, at, step, n, out, [](bf16 x) { return static_cast<T>(x); });
  } else if (t.array.dtype == DType::f16) {
    detail::convert_run<std::uint16_t>(data, at, step, n, out, [&](std::uint16_t x) { return from_f32(f16_value(x)); });
  } else if (t.array.dtype == DType::f64) {
    if constexpr (std::is_same_v<T, bf16>)
      detail::convert_run<f64>(data, at, step, n, out, [](f64 x) { return bf16(detail::rounded_to_odd(x)); });
    else detail::convert_run<f64>(data, at, step, n, out, [](f64 x) { return static_cast<T>(x); });
  } else {
    detail::convert_scaled_run(t, at, step, n, out);
  }
}

/// The tensor types that T can be read from, as an error message names them.
template <class T>
bool readable_as(DType dtype) {
  if constexpr (std::is_same_v<T, i32>) return dtype == DType::i32;
  else
    return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64 ||
           dtype == DType::f8_e4m3;
}

namespace detail {

/// The first of n elements whose bits without the sign are at least `limit`, n where there is none: the bits of
/// floating point are ordered like its magnitudes, and infinity and NaN come last.
template <class Bits>
index_t first_at_least(const std::byte* data, index_t n, Bits limit) {  // Bits: signed, as vectors compare them
  constexpr auto size = static_cast<index_t>(sizeof(Bits));
  constexpr Bits magnitude = std::numeric_limits<Bits>::max();
  constexpr index_t chunk = 4096;
  const auto is_large = [&](index_t i) { return static_cast<Bits>(load<Bits>(data + i * size) & magnitude) >= limit; };
  for (index_t begin = 0; begin < n; begin += chunk) {
    const index_t end = std::min(n, begin + chunk);
    Bits any = 0;  // without a branch, so that compilers use vectors
    for (index_t i = begin; i < end; ++i) any = static_cast<Bits>(any | static_cast<Bits>(is_large(i)));
    for (index_t i = begin; any && i < end; ++i)
      if (is_large(i)) return i;
  }
  return n;
}
}  // namespace detail

/// Weights are below 2^127: what is beyond is NaN, an infinity, or would become one where it is rounded to bf16.
inline constexpr int weight_exponent = 127, scale_exponent = 118;  // a scale times 448, the largest f8_e4m3

/// Index of the first element that is no number below 2^exponent, in C order; nothing where all are.
inline std::optional<index_t> first_non_finite(host::ThreadPool& pool, const ArrayView& a,
                                               int exponent = weight_exponent) {
  const auto first = [&](const std::byte* data, index_t n) {
    switch (a.dtype) {
      case DType::f32:
        return detail::first_at_least<std::int32_t>(data, n, (exponent + 127) << 23);
      case DType::bf16:
        return detail::first_at_least<std::int16_t>(data, n, static_cast<std::int16_t>((exponent + 127) << 7));
      case DType::f16:
        return detail::first_at_least<std::int16_t>(data, n, 0x7c00);
      case DType::f64:
        return detail::first_at_least<std::int64_t>(data, n, std::int64_t{exponent + 1023} << 52);
      case DType::f8_e4m3:
        return detail::first_at_least<std::int8_t>(data, n, 0x7f);
      default:
        return n;
    }
  };
  const index_t n = a.elements(), grain = index_t{1} << 18;
  std::vector<index_t> found(static_cast<std::size_t>((n + grain - 1) / grain), -1);
  pool.for_range(n, grain, [&](index_t begin, index_t end) {
    for (index_t b = begin; b < end; b += grain) {
      const index_t count = std::min(grain, end - b);
      const index_t at = first(a.data.data() + b * static_cast<index_t>(size_of(a.dtype)), count);
      if (at < count) found[static_cast<std::size_t>(b / grain)] = b + at;
    }
  });
  for (const index_t at : found)
    if (at >= 0) return at;
  return std::nullopt;
}

/// The elements of a slice of a parameter, in C order, run by run along its last dimension. Run i lies in `tensor` of
/// the file's, its elements `step` apart from `at` on.
class Runs {
 public:
  struct Place {
    std::size_t tensor;
    index_t at;
  };
  const index_t length, step;
  index_t count = 1;

  Runs(const Named& named, std::vector<Range> slice)
      : length(slice.back().size()), step(named.stride(slice.size() - 1)), named_(named), slice_(std::move(slice)) {
    for (std::size_t d = 0; d + 1 < slice_.size(); ++d) count *= slice_[d].size();
  }
  Place operator[](index_t i) const {
    const std::size_t last = slice_.size() - 1;
    index_t first = slice_[0].begin, at = named_.part.first + slice_[last].begin * step;
    for (std::size_t d = last; d-- > 0; i /= slice_[d].size()) {
      first = slice_[d].begin + i % slice_[d].size();
      at += first * named_.stride(d);
    }
    return {named_.tensor(first), at};
  }

 private:
  const Named& named_;
  std::vector<Range> slice_;
};

/// Rows and columns of one matrix in a file: element (k, n) is first + k · down + n · across.
struct FileMatrix {
  index_t first, down, across;
};

/// Matrix i of a parameter [E, K, N], or the one of [K, N], in the tensor named.tensor(i).
inline FileMatrix matrix_of(const Named& named, index_t i) {
  const std::size_t rank = named.shape.size();
  return {named.part.first + (rank == 3 ? i * named.stride(0) : 0), named.stride(rank - 2), named.stride(rank - 1)};
}

/// The slice [k, n) of the matrix by rows, `pitch` elements apart.
template <class E>
void read_matrix(host::ThreadPool& pool, const FileTensor& file, const FileMatrix& m, Range k, Range n, E* out,
                 index_t pitch) {
  constexpr index_t tile = 64;  // columns that lie together in the file are turned into rows by squares
  const index_t first = m.first + k.begin * m.down + n.begin * m.across;
  if (m.down >= m.across)
    return pool.for_range(k.size(), (index_t{1} << 14) / std::max<index_t>(1, n.size()) + 1,
                          [&](index_t begin, index_t end) {
                            for (index_t i = begin; i < end; ++i)
                              read_run(file, first + i * m.down, m.across, n.size(), out + i * pitch);
                          });
  const index_t down = (k.size() + tile - 1) / tile, across = (n.size() + tile - 1) / tile;
  pool.for_range(across * down, 4, [&](index_t begin, index_t end) {
    E square[tile * tile];
    for (index_t t = begin; t < end; ++t) {
      const index_t row = t % down * tile, column = t / down * tile;
      const index_t rows = std::min(tile, k.size() - row), columns = std::min(tile, n.size() - column);
      for (index_t c = 0; c < columns; ++c)
        read_run(file, first + row * m.down + (column + c) * m.across, m.down, rows, square + c * tile);
      for (index_t r = 0; r < rows; ++r)
        for (index_t c = 0; c < columns; ++c) out[(row + r) * pitch + column + c] = square[c * tile + r];
    }
  });
}

/// W[K, N] packed by way of a plain matrix of the same size: fill(i, out) gives row i, or column i where `transposed`.
template <class E, class Fill>
host::Packed<E> pack_lines(host::ThreadPool& pool, index_t K, index_t N, bool transposed, Fill fill) {
  const index_t lines = transposed ? N : K, length = transposed ? K : N;
  const index_t stride = length * static_cast<index_t>(sizeof(E));
  host::Buffer plain(lines * stride);
  pool.for_range(lines, 8, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) fill(i, plain.as<E>() + i * length);
  });
  const std::byte* at = plain.data();
  if (transposed) return host::pack<E>(pool, host::Source<E, true>{at, stride}, K, N);
  return host::pack<E>(pool, host::Source<E>{at, stride}, K, N);
}

/// The slice [k, n) of the matrix, packed: straight from the file where its rows or columns lie together there, else by
/// way of the slice as a plain matrix.
template <class E>
host::Packed<E> pack(host::ThreadPool& pool, const FileTensor& file, const FileMatrix& m, Range k, Range n) {
  const index_t first = m.first + k.begin * m.down + n.begin * m.across;
  const bool transposed = m.down < m.across;
  const auto direct = [&]<class S>(S) {
    constexpr auto size = static_cast<index_t>(sizeof(S));
    const std::byte* at = file.array.data.data() + first * size;
    if (transposed) return host::pack<E>(pool, host::Source<S, true>{at, m.across * size}, k.size(), n.size());
    return host::pack<E>(pool, host::Source<S>{at, m.down * size}, k.size(), n.size());
  };
  if (std::min(m.down, m.across) == 1) {
    if (file.array.dtype == DType::f32) return direct(f32{});
    if (file.array.dtype == DType::bf16) return direct(bf16{});
  }
  return pack_lines<E>(pool, k.size(), n.size(), transposed, [&](index_t i, E* out) {
    if (transposed) read_run(file, first + i * m.across, m.down, k.size(), out);
    else read_run(file, first + i * m.down, m.across, n.size(), out);
  });
}

}  // namespace tess::io
