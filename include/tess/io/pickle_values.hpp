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

/// The opcodes by CPython's names (Lib/pickletools.py), those that are refused included: an error should name them.
enum class Op : std::uint8_t {
  mark = '(',
  stop = '.',
  none = 'N',
  reduce = 'R',
  build = 'b',
  tuple = 't',
  empty_tuple = ')',
  empty_dict = '}',
  setitems = 'u',
  binget = 'h',
  long_binget = 'j',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  binunicode = 'X',
  binbytes = 'B',
  short_binbytes = 'C',
  proto = 0x80,
  newobj = 0x81,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8a,
  short_binunicode = 0x8c,
  binbytes8 = 0x8e,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
  bytearray8 = 0x96
};

struct OpName {
  std::uint8_t code;
  std::string_view name;
};
inline constexpr std::array<OpName, 68> op_names{{
    {'(', "MARK"},
    {'.', "STOP"},
    {'0', "POP"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {'F', "FLOAT"},
    {'I', "INT"},
    {'J', "BININT"},
    {'K', "BININT1"},
    {'L', "LONG"},
    {'M', "BININT2"},
    {'N', "NONE"},
    {'P', "PERSID"},
    {'Q', "BINPERSID"},
    {'R', "REDUCE"},
    {'S', "STRING"},
    {'T', "BINSTRING"},
    {'U', "SHORT_BINSTRING"},
    {'V', "UNICODE"},
    {'X', "BINUNICODE"},
    {'a', "APPEND"},
    {'b', "BUILD"},
    {'c', "GLOBAL"},
    {'d', "DICT"},
    {'}', "EMPTY_DICT"},
    {'e', "APPENDS"},
    {'g', "GET"},
    {'h', "BINGET"},
    {'i', "INST"},
    {'j', "LONG_BINGET"},
    {'l', "LIST"},
    {']', "EMPTY_LIST"},
    {'o', "OBJ"},
    {'p', "PUT"},
    {'q', "BINPUT"},
    {'r', "LONG_BINPUT"},
    {'s', "SETITEM"},
    {'t', "TUPLE"},
    {')', "EMPTY_TUPLE"},
    {'u', "SETITEMS"},
    {'G', "BINFLOAT"},
    {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"},
    {0x80, "PROTO"},
    {0x81, "NEWOBJ"},
    {0x82, "EXT1"},
    {0x83, "EXT2"},
    {0x84, "EXT4"},
    {0x85, "TUPLE1"},
    {0x86, "TUPLE2"},
    {0x87, "TUPLE3"},
    {0x88, "NEWTRUE"},
    {0x89, "NEWFALSE"},
    {0x8a, "LONG1"},
    {0x8b, "LONG4"},
    {0x8c, "SHORT_BINUNICODE"},
    {0x8d, "BINUNICODE8"},
    {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"},
    {0x90, "ADDITEMS"},
    {0x91, "FROZENSET"},
    {0x92, "NEWOBJ_EX"},
    {0x93, "STACK_GLOBAL"},
    {0x94, "MEMOIZE"},
    {0x95, "FRAME"},
    {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"},
}};

}  // namespace tess::io::detail::pickle
