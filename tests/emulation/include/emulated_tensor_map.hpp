// TensorMap on a CPU: what device/cuda/tensor_map.hpp has, with the rules of the driver's cuTensorMapEncodeTiled.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include <tess/core/error.hpp>
#include <tess/core/types.hpp>

namespace tess::cuda {

struct TensorMap {
  const std::byte* data = nullptr;
  std::array<index_t, 3> extents{};  // innermost first
  std::array<index_t, 2> strides{};  // in bytes, of dimensions 1 and 2
  std::array<int, 3> box{};
  index_t element = 0;  // bytes
};

template <class T>
TensorMap tensor_map(const T* data, std::array<index_t, 3> extents, std::array<index_t, 2> pitches,
                     std::array<int, 3> box) {
  constexpr auto size = static_cast<index_t>(sizeof(T));
  const auto need = [](bool ok, const char* rule) {
    if (!ok) fail("[emulation] cuTensorMapEncodeTiled: ", rule);
  };
  need(reinterpret_cast<std::uintptr_t>(data) % 16 == 0, "the address must be a multiple of 16");
  for (const index_t e : extents) need(e > 0 && e <= index_t{1} << 32, "extents are 1 to 2^32");
  for (const index_t p : pitches)
    need(p * size % 16 == 0 && p * size < index_t{1} << 40, "strides are multiples of 16 bytes below 2^40");
  for (const int b : box) need(b > 0 && b <= 256, "boxes are 1 to 256 long");
  need(box[0] * size == 128, "rows of a box swizzled by 128 bytes are 128 bytes here");
  return {reinterpret_cast<const std::byte*>(data), extents, {pitches[0] * size, pitches[1] * size}, box, size};
}

}  // namespace tess::cuda
