// Rows four elements at a time: one load or store of f32 and bf16 where the rows allow it, single elements otherwise.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../tensor/dtype.hpp"
#include "isa.hpp"

namespace tess::cuda {

/// Four neighbours in memory, moved as one.
template <class T>
struct alignas(4 * sizeof(T)) FourOf {
  T at[4];
};
/// The same as numbers.
struct Four {
  f32 at[4];
};

/// Do rows of `width` elements consist of whole fours? Tensors begin at multiples of 256 bytes.
constexpr bool whole_fours(index_t width) { return width % 4 == 0; }

__device__ inline Four widened(const FourOf<f32>& x) { return {{x.at[0], x.at[1], x.at[2], x.at[3]}}; }
__device__ inline Four widened(const FourOf<bf16>& x) {
  return {{static_cast<f32>(x.at[0]), static_cast<f32>(x.at[1]), static_cast<f32>(x.at[2]), static_cast<f32>(x.at[3])}};
}
__device__ inline void round_to(FourOf<f32>& y, const Four& x) { y = {{x.at[0], x.at[1], x.at[2], x.at[3]}}; }
__device__ inline void round_to(FourOf<bf16>& y, const Four& x) {
  const std::uint32_t low = pack_bf16(x.at[0], x.at[1]), high = pack_bf16(x.at[2], x.at[3]);
  y = {{bf16::from_bits(static_cast<std::uint16_t>(low & 0xffffu)),
        bf16::from_bits(static_cast<std::uint16_t>(low >> 16)),
        bf16::from_bits(static_cast<std::uint16_t>(high & 0xffffu)),
        bf16::from_bits(static_cast<std::uint16_t>(high >> 16))}};
}

/// Elements at … at + 3 of a row [width]; zeros behind its end. `whole`: whole_fours(width), and the rows lie so.
template <class T>
__device__ inline FourOf<T> load_elements(const T* row, index_t at, index_t width, bool whole) {
  FourOf<T> x{};
  if (at >= width) return x;
  if (whole) return *reinterpret_cast<const FourOf<T>*>(row + at);
  for (int i = 0; i < 4; ++i)
    if (at + i < width) x.at[i] = row[at + i];
  return x;
}
template <class T>
__device__ inline void store_elements(T* row, index_t at, index_t width, bool whole, const FourOf<T>& x) {
  if (at >= width) return;
  if (whole) {
    *reinterpret_cast<FourOf<T>*>(row + at) = x;
    return;
  }
  for (int i = 0; i < 4; ++i)
    if (at + i < width) row[at + i] = x.at[i];
}
/// The same of f32 and bf16 as numbers.
template <class T>
__device__ inline Four load_four(const T* row, index_t at, index_t width, bool whole) {
  return widened(load_elements(row, at, width, whole));
}
template <class T>
__device__ inline void store_four(T* row, index_t at, index_t width, bool whole, const Four& x) {
  FourOf<T> rounded{};
  round_to(rounded, x);
  store_elements(row, at, width, whole, rounded);
}

}  // namespace tess::cuda
