// Hugging Face's safetensors: named arrays behind a JSON header, memory-mapped.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/error.hpp"
#include "array.hpp"
#include "json.hpp"
#include "mapped_file.hpp"
#include "printable.hpp"

namespace tess::io {

struct NamedArray {
  std::string name;
  ArrayView array;
};

namespace detail::safetensors {

struct Code {
  std::string_view code;
  DType dtype;
};
inline constexpr std::array<Code, 14> codes{{{"BOOL", DType::boolean},
                                             {"I8", DType::i8},
                                             {"U8", DType::u8},
                                             {"I16", DType::i16},
                                             {"U16", DType::u16},
                                             {"F16", DType::f16},
                                             {"BF16", DType::bf16},
                                             {"I32", DType::i32},
                                             {"U32", DType::u32},
                                             {"F32", DType::f32},
                                             {"I64", DType::i64},
                                             {"U64", DType::u64},
                                             {"F64", DType::f64},
                                             {"F8_E4M3", DType::f8_e4m3}}};

inline std::size_t count(const Json& json) {
  const std::int64_t n = json.integer();
  if (n < 0) fail(json.where(), ": expected a size or an offset, found ", n, ".");
  return static_cast<std::size_t>(n);
}

/// One entry of the header: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, offsets from the header's end.
inline ArrayView entry(const Json& json, std::span<const std::byte> data, std::size_t data_offset) {
  ArrayView array;
  const std::string& code = json.at("dtype").string();
  const auto known = std::find_if(codes.begin(), codes.end(), [&](const Code& c) { return c.code == code; });
  if (known == codes.end())
    fail("dtype '", printable(code), "' is not supported; expected F32, BF16, F16, F64, I8, I32 or the like.");
  array.dtype = known->dtype;
  for (const Json& extent : json.at("shape").array()) array.shape.push_back(static_cast<index_t>(count(extent)));

  const Json::Array& range = json.at("data_offsets").array();
  if (range.size() != 2) fail("data_offsets has ", range.size(), " numbers, expected the two [begin, end].");
  const std::size_t begin = count(range[0]), end = count(range[1]);
  if (begin > end || end > data.size())
    fail("data_offsets [", begin, ", ", end, "] lie outside the data, which has ", data.size(), " bytes.\n  ",
         "The file is truncated or damaged: download or copy it again.");
  const auto size = byte_size(array.dtype, array.shape);
  if (size != end - begin)
    fail("found ", end - begin, " bytes, expected ", size ? std::to_string(*size) : "more than any file holds", " for ",
         describe(array), ".");
  array.data = data.subspan(begin, end - begin);
  array.offset = data_offset + begin;
  return array;
}

/// The arrays must cover the data without gap or overlap: no byte is shared, none is hidden.
inline void check_coverage(std::string_view name, const std::vector<NamedArray>& arrays, std::size_t begin,
                           std::size_t end) {
  std::vector<const NamedArray*> order;
  order.reserve(arrays.size());
  for (const NamedArray& a : arrays) order.push_back(&a);
  auto last_byte = [](const NamedArray* a) { return a->array.offset + a->array.data.size(); };
  std::sort(order.begin(), order.end(), [&](const NamedArray* a, const NamedArray* b) {
    return std::pair(a->array.offset, last_byte(a)) < std::pair(b->array.offset, last_byte(b));
  });
  for (const NamedArray* a : order) {
    if (a->array.offset != begin)
      fail(name, ": tensor '", printable(a->name), "' begins at byte ", a->array.offset, ", expected ", begin, ": ",
           a->array.offset < begin ? "it overlaps the tensor before." : "a gap before it holds unknown bytes.");
    begin = last_byte(a);
  }
  if (begin != end)
    fail(name, ": ", end - begin, " bytes after the last tensor (from byte ", begin, ") belong to none.");
}

}  // namespace detail::safetensors

/// All arrays of a safetensors file, sorted by name, as views into it.
/// Errors (`name` begins the message): a header that does not fit or is no JSON of the format, an unknown dtype, bytes
/// that do not match the shape, ranges that overlap, leave gaps or end outside the file.
/// Source: https://github.com/huggingface/safetensors, section "Format".
inline std::vector<NamedArray> parse_safetensors(std::span<const std::byte> file, std::string_view name) {
  using namespace detail::safetensors;
  constexpr std::size_t prefix = sizeof(std::uint64_t);
  if (file.size() < prefix)
    fail(name, ": has ", file.size(), " bytes; a safetensors file begins with 8 bytes of header length.");
  const auto header_size = detail::load<std::uint64_t>(file.data());
  if (header_size > file.size() - prefix)
    fail(name, ": byte 0: the header has ", header_size, " bytes, but only ", file.size() - prefix, " follow.\n  ",
         "This is no safetensors file, or it is truncated.");
  const auto header = file.subspan(prefix, static_cast<std::size_t>(header_size));
  const auto data = file.subspan(prefix + header.size());
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with('{'))
    fail(name, ": byte 8: the header must begin with '{', found '", printable(text.substr(0, 1)), "'.");

  const Json root = Json::parse(text, std::string(name) + " (header)");
  std::vector<NamedArray> arrays;
  for (const Json::Member& member : root.object()) {
    if (member.key == "__metadata__") continue;
    try {
      arrays.push_back({member.key, entry(member.value, data, prefix + header.size())});
    } catch (const Error& error) {
      fail(name, ": tensor '", printable(member.key), "': ", error.what());
    }
  }
  check_coverage(name, arrays, prefix + header.size(), file.size());
  return arrays;
}

/// A mapped safetensors file. The views that it hands out keep the mapping alive.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path) : path_(path) {
    const MappedFile file(path);
    arrays_ = parse_safetensors(file.bytes(), path.string());
    for (NamedArray& a : arrays_) a.array.owner = file.owner();
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] index_t size() const { return static_cast<index_t>(arrays_.size()); }
  [[nodiscard]] const std::vector<NamedArray>& arrays() const { return arrays_; }
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    all.reserve(arrays_.size());
    for (const NamedArray& a : arrays_) all.push_back(a.name);
    return all;
  }

  /// Throws where there is no tensor of that name.
  [[nodiscard]] const ArrayView& operator[](std::string_view name) const {
    if (const NamedArray* found = find(name)) return found->array;
    fail(path_.string(), ": has no tensor '", printable(name), "' among its ", arrays_.size(), ".");
  }

 private:
  [[nodiscard]] const NamedArray* find(std::string_view name) const {
    const auto at = std::lower_bound(arrays_.begin(), arrays_.end(), name,
                                     [](const NamedArray& a, std::string_view n) { return a.name < n; });
    return at != arrays_.end() && at->name == name ? &*at : nullptr;
  }

  std::filesystem::path path_;
  std::vector<NamedArray> arrays_;
};

}  // namespace tess::io
