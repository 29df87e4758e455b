// An array as it lies in a file: dtype, shape, and bytes that are neither aligned nor copied.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/error.hpp"
#include "../core/types.hpp"
#include "../tensor/dtype.hpp"
#include "small_floats.hpp"

namespace tess::io {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read without swapping");

enum class DType : std::uint8_t { boolean, i8, u8, i16, u16, f16, bf16, i32, u32, f32, i64, u64, f64, f8_e4m3 };

namespace detail {
struct DTypeFact {
  std::string_view name;
  std::size_t size;
};
inline constexpr std::array<DTypeFact, 14> dtype_facts{{{"bool", 1},
                                                        {"i8", 1},
                                                        {"u8", 1},
                                                        {"i16", 2},
                                                        {"u16", 2},
                                                        {"f16", 2},
                                                        {"bf16", 2},
                                                        {"i32", 4},
                                                        {"u32", 4},
                                                        {"f32", 4},
                                                        {"i64", 8},
                                                        {"u64", 8},
                                                        {"f64", 8},
                                                        {"f8_e4m3", 1}}};
}  // namespace detail

/// As error messages and `inspect` print it: "bf16".
constexpr std::string_view name_of(DType t) { return detail::dtype_facts[static_cast<std::size_t>(t)].name; }

/// Bytes an element.
constexpr std::size_t size_of(DType t) { return detail::dtype_facts[static_cast<std::size_t>(t)].size; }

/// Bytes of an array, or nothing where an extent is negative or the product does not fit.
constexpr std::optional<std::size_t> byte_size(DType dtype, std::span<const index_t> shape) {
  constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<index_t>::max());
  std::size_t total = size_of(dtype);
  bool empty = false;
  for (const index_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) empty = true;
    else if (total > limit / static_cast<std::size_t>(extent)) return std::nullopt;
    else total *= static_cast<std::size_t>(extent);
  }
  return empty ? 0 : total;
}

/// "[8, 32, 176]"
inline std::string to_string(std::span<const index_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// A C-ordered array inside a file. Copying it copies no element; `owner` keeps the file mapped meanwhile
/// (it is empty where the array was parsed from memory of the caller's).
struct ArrayView {
  DType dtype = DType::f32;
  std::vector<index_t> shape;
  std::span<const std::byte> data;  // byte_size(dtype, shape) bytes, of any alignment: read them with memcpy
  std::size_t offset = 0;           // of data in the file
  std::shared_ptr<const void> owner;

  [[nodiscard]] index_t elements() const { return static_cast<index_t>(data.size() / size_of(dtype)); }
};

/// An array in memory, which the view keeps alive.
template <class T>
ArrayView array_of(DType dtype, std::vector<index_t> shape, std::vector<T> values) {
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return {dtype, std::move(shape), std::as_bytes(std::span(*owner)), 0, owner};
}

/// "i8[8, 32, 176]"
inline std::string describe(const ArrayView& a) { return std::string(name_of(a.dtype)) + to_string(a.shape); }

namespace detail {

template <class T>
T load(const std::byte* at) {
  T x;
  std::memcpy(&x, at, sizeof(T));
  return x;
}

}  // namespace detail

/// The elements in C order, each converted to T with a static_cast. For tests, tools and small tables: it copies.
template <class T>
std::vector<T> values_as(const ArrayView& a) {
  std::vector<T> values;
  values.reserve(static_cast<std::size_t>(a.elements()));
  auto append = [&]<class Stored>(Stored, auto convert) {
    for (std::size_t i = 0; i + sizeof(Stored) <= a.data.size(); i += sizeof(Stored))
      values.push_back(static_cast<T>(convert(detail::load<Stored>(a.data.data() + i))));
  };
  auto same = [](auto x) { return x; };
  switch (a.dtype) {
    case DType::boolean:
      append(std::uint8_t{}, [](std::uint8_t x) { return x != 0; });
      break;
    case DType::i8:
      append(std::int8_t{}, same);
      break;
    case DType::u8:
      append(std::uint8_t{}, same);
      break;
    case DType::i16:
      append(std::int16_t{}, same);
      break;
    case DType::u16:
      append(std::uint16_t{}, same);
      break;
    case DType::f16:
      append(std::uint16_t{}, f16_value);
      break;
    case DType::bf16:
      append(std::uint16_t{}, [](std::uint16_t x) { return f32(bf16::from_bits(x)); });
      break;
    case DType::i32:
      append(std::int32_t{}, same);
      break;
    case DType::u32:
      append(std::uint32_t{}, same);
      break;
    case DType::f32:
      append(f32{}, same);
      break;
    case DType::i64:
      append(std::int64_t{}, same);
      break;
    case DType::u64:
      append(std::uint64_t{}, same);
      break;
    case DType::f64:
      append(f64{}, same);
      break;
    case DType::f8_e4m3:
      append(std::uint8_t{}, e4m3_value);
      break;
  }
  return values;
}

}  // namespace tess::io
