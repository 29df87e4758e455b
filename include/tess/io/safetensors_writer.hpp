// Writing safetensors: the header first, tensors in any order, and the file appears under its name only when whole.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atomic_file.hpp"
#include "safetensors.hpp"

namespace tess::io {

/// What stands in the header about one tensor.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<index_t> shape;
};

namespace detail::safetensors {

inline std::string json_text(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (byte < 0x20) out += std::string("\\u00") + hex[byte >> 4] + hex[byte & 15u];
    else out += c;
  }
  return out + '"';
}
inline std::string_view code_of(DType dtype) {
  return std::find_if(codes.begin(), codes.end(), [&](const Code& c) { return c.dtype == dtype; })->code;
}
}  // namespace detail::safetensors

/// Writes one file, which appears whole or not at all (AtomicFile).
/// Source: https://github.com/huggingface/safetensors, section "Format".
class SafetensorsWriter {
 public:
  /// All tensors of the file, in the order in which they shall lie in it, but those of larger elements first, so that
  /// every tensor is aligned. `metadata` is kept as "__metadata__".
  /// Errors: a name twice, an extent below zero, a file that cannot be made.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorEntry> entries,
                    const std::map<std::string, std::string>& metadata = {})
      : path_(std::move(path)), header_(lay_out(std::move(entries), metadata)), file_(path_) {
    file_.write(std::as_bytes(std::span(header_)), 0);
  }

  /// The elements of one tensor, in C order. Each is written once.
  /// Errors: a name that was not announced, a size that does not fit it, a tensor written twice, a full disk.
  void write(std::string_view name, std::span<const std::byte> bytes) {
    const auto at = tensors_.find(std::string(name));
    if (at == tensors_.end()) fail(path_.string(), ": tensor '", printable(name), "' was not announced.");
    Place& place = at->second;
    if (place.written) fail(path_.string(), ": tensor '", printable(name), "' is written twice.");
    if (bytes.size() != place.size)
      fail(path_.string(), ": tensor '", printable(name), "': ", bytes.size(), " bytes given, expected ", place.size,
           ".");
    file_.write(bytes, place.offset);
    place.written = true;
  }

  /// Makes the file appear. Errors: a tensor is missing; the system cannot finish the file.
  void commit() {
    for (const auto& [name, place] : tensors_)
      if (!place.written) fail(path_.string(), ": tensor '", printable(name), "' was announced, but not written.");
    file_.commit();
  }

 private:
  struct Place {
    std::size_t offset = 0, size = 0;  // in the file
    bool written = false;
  };

  /// The length of the header and the header; places of the tensors into tensors_.
  std::string lay_out(std::vector<TensorEntry> entries, const std::map<std::string, std::string>& metadata) {
    using namespace detail::safetensors;
    std::stable_sort(entries.begin(), entries.end(),
                     [](const TensorEntry& a, const TensorEntry& b) { return size_of(a.dtype) > size_of(b.dtype); });
    std::string text = "{";
    if (!metadata.empty()) {
      text += "\"__metadata__\":{";
      for (const auto& [key, value] : metadata)
        text += (text.back() == '{' ? "" : ",") + json_text(key) + ":" + json_text(value);
      text += "}";
    }
    std::size_t end = 0;
    for (const TensorEntry& e : entries) {
      const auto size = byte_size(e.dtype, e.shape);
      if (!size || e.name == "__metadata__")
        fail(path_.string(), ": tensor '", printable(e.name), "' of shape ", to_string(e.shape), " cannot be written.");
      if (!tensors_.emplace(e.name, Place{end, *size, false}).second)
        fail(path_.string(), ": two tensors have the name '", printable(e.name), "'.");
      if (text.back() != '{') text += ',';
      text += json_text(e.name) + ":{\"dtype\":" + json_text(code_of(e.dtype)) + ",\"shape\":[";
      for (const index_t extent : e.shape) {
        if (text.back() != '[') text += ',';
        text += std::to_string(extent);
      }
      text += "],\"data_offsets\":[" + std::to_string(end) + "," + std::to_string(end + *size) + "]}";
      end += *size;
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
    std::string header(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) header[i] = static_cast<char>(text.size() >> (8 * i) & 0xffu);
    header += text;
    for (auto& [name, place] : tensors_) place.offset += header.size();
    return header;
  }

  std::filesystem::path path_;
  std::map<std::string, Place> tensors_;
  std::string header_;
  AtomicFile file_;  // made when the header is known to be right
};

/// Writes arrays that are in memory or mapped. Errors as above; the file appears whole or not at all.
inline void write_safetensors(const std::filesystem::path& path, const std::vector<NamedArray>& arrays,
                              const std::map<std::string, std::string>& metadata = {}) {
  std::vector<TensorEntry> entries;
  entries.reserve(arrays.size());
  for (const NamedArray& a : arrays) entries.push_back({a.name, a.array.dtype, a.array.shape});
  SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const NamedArray& a : arrays) writer.write(a.name, a.array.data);
  writer.commit();
}

}  // namespace tess::io
