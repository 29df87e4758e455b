// What the pickle of a parameter may speak of: eleven kinds of value and nine names, and nothing that runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "array.hpp"

namespace tess::io::detail::pickle {

/// The allow-list. A name stands for one of these; it is looked up here and never imported.
enum class Global : std::uint8_t { quantized_weight, reconstruct, frombuffer, ndarray, dtype, bfloat16 };

struct AllowedName {
  std::string_view module, name;
  Global global;
};
inline constexpr std::array<AllowedName, 9> allowed_names{{
    {"__main__", "QuantizedWeight8bit", Global::quantized_weight},    // the released checkpoint
    {"model", "QuantizedWeight8bit", Global::quantized_weight},       // written by a program that imports model.py
    {"numpy.core.multiarray", "_reconstruct", Global::reconstruct},   // numpy 1
    {"numpy._core.multiarray", "_reconstruct", Global::reconstruct},  // numpy 2
    {"numpy.core.numeric", "_frombuffer", Global::frombuffer},        // protocol 5
    {"numpy._core.numeric", "_frombuffer", Global::frombuffer},
    {"numpy", "ndarray", Global::ndarray},
    {"numpy", "dtype", Global::dtype},
    {"ml_dtypes", "bfloat16", Global::bfloat16},
}};

using Id = std::size_t;  // of a value, in the order in which the file makes them

struct None {};
struct Mark {};
struct Bytes {
  std::span<const std::byte> data;
  std::size_t offset;  // in the file
};
struct Tuple {
  std::vector<Id> items;
};
struct Dict {
  std::vector<Id> items;  // key, value, key, value
};
struct Dtype {
  DType dtype;
  bool has_order = false;  // its state, which holds the byte order, has been read
};
struct Array {
  std::optional<ArrayView> view;  // empty until its state has been read
};
struct Quantized {
  std::optional<ArrayView> weight, scales;
};
using Text = std::string_view;
using Value = std::variant<None, Mark, bool, std::int64_t, Text, Bytes, Tuple, Dict, Global, Dtype, Array, Quantized>;

inline constexpr std::array<std::string_view, std::variant_size_v<Value>> kind_names{
    "None",    "a mark",       "a bool",        "an integer",    "a string", "bytes",
    "a tuple", "a dictionary", "a global name", "a numpy dtype", "an array", "a QuantizedWeight8bit"};

struct NumpyCode {
  std::string_view code;
  DType dtype;
};
inline constexpr std::array<NumpyCode, 12> numpy_codes{{{"f4", DType::f32},
                                                        {"f8", DType::f64},
                                                        {"f2", DType::f16},
                                                        {"i1", DType::i8},
                                                        {"u1", DType::u8},
                                                        {"i2", DType::i16},
                                                        {"u2", DType::u16},
                                                        {"i4", DType::i32},
                                                        {"u4", DType::u32},
                                                        {"i8", DType::i64},
                                                        {"u8", DType::u64},
                                                        {"b1", DType::boolean}}};

}  // namespace tess::io::detail::pickle
