// A checkpoint as Hugging Face publishes it: one safetensors file, or an index and the parts that it names.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "safetensors.hpp"

namespace tess::io {

struct IndexEntry {
  std::string tensor, part;  // the part is a file name, without a folder
};

/// The "weight_map" of a model.safetensors.index.json, sorted by tensor.
/// Errors: no such map, or a part that is no plain file name (an index must not reach outside its folder).
/// Source: huggingface_hub, serialization/_torch.py (save_torch_state_dict), https://huggingface.co/docs/safetensors.
inline std::vector<IndexEntry> parse_safetensors_index(std::string_view text, std::string_view name) {
  const Json root = Json::parse(text, name);
  std::vector<IndexEntry> entries;
  for (const Json::Member& member : root.at("weight_map").object()) {
    const std::string& part = member.value.string();
    if (part.empty() || part.front() == '.' || part.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      fail(member.value.where(), ": tensor '", printable(member.key), "' lies in part '", printable(part),
           "', expected the name of a file beside the index.");
    entries.push_back({member.key, part});
  }
  return entries;
}

/// The tensors of a checkpoint by name, memory-mapped. The views that it hands out keep their file mapped.
class SafetensorsCheckpoint {
 public:
  /// `path` is a .safetensors file, an .index.json, or a folder with `model.safetensors` or
  /// `model.safetensors.index.json`. Errors: what SafetensorsFile refuses; an index that names an absent part, a tensor
  /// that its part lacks, or fewer tensors than the parts hold.
  explicit SafetensorsCheckpoint(const std::filesystem::path& path) : path_(resolve(path)) {
    if (path_.extension() != ".json") {
      arrays_ = SafetensorsFile(path_).arrays();
      return;
    }
    const MappedFile file(path_);
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
    gather(parse_safetensors_index(text, path_.string()));
  }

  /// The file that was opened: the single one, or the index.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<NamedArray>& arrays() const { return arrays_; }  // sorted by name
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }

  /// Throws where there is no tensor of that name.
  [[nodiscard]] const ArrayView& operator[](std::string_view name) const {
    if (const NamedArray* found = find(name)) return found->array;
    fail(path_.string(), ": has no tensor '", printable(name), "' among its ", arrays_.size(), ".");
  }

 private:
  static std::filesystem::path resolve(const std::filesystem::path& path) {
    if (!std::filesystem::is_directory(path)) return path;
    std::filesystem::path single = path / "model.safetensors", index = path / "model.safetensors.index.json";
    if (std::filesystem::exists(index)) return index;
    if (std::filesystem::exists(single)) return single;
    fail(path.string(), ": holds neither model.safetensors nor model.safetensors.index.json.\n  ",
         "Give the folder of the checkpoint, or the file itself.");
  }

  void gather(const std::vector<IndexEntry>& entries) {
    std::map<std::string, std::vector<NamedArray>> parts;
    for (const IndexEntry& e : entries) {
      const auto part = parts.find(e.part);
      const auto& arrays = part != parts.end() ? part->second : parts.emplace(e.part, open(e.part)).first->second;
      const auto at = lower_bound(arrays, e.tensor);
      if (at == arrays.end() || at->name != e.tensor)
        fail(path_.string(), ": names tensor '", printable(e.tensor), "' in ", printable(e.part),
             ", which has no such tensor.\n  ",
             "The index and the parts belong to different checkpoints, or a part was replaced.");
      arrays_.push_back(*at);
    }
    for (const auto& [part, arrays] : parts)
      for (const NamedArray& a : arrays)
        if (const NamedArray* known = find(a.name); !known || known->array.data.data() != a.array.data.data())
          fail(path_.string(), ": does not name tensor '", printable(a.name), "' of ", printable(part),
               ".\n  A tensor that no index names would be lost: mend the index.");
  }

  std::vector<NamedArray> open(const std::string& part) const {
    const std::filesystem::path file = path_.parent_path() / part;
    if (!std::filesystem::exists(file))
      fail(path_.string(), ": names the part ", printable(part),
           ", which is not beside it.\n  Download the missing part.");
    return SafetensorsFile(file).arrays();
  }

  static std::vector<NamedArray>::const_iterator lower_bound(const std::vector<NamedArray>& arrays,
                                                             std::string_view name) {
    return std::lower_bound(arrays.begin(), arrays.end(), name,
                            [](const NamedArray& a, std::string_view n) { return a.name < n; });
  }
  [[nodiscard]] const NamedArray* find(std::string_view name) const {
    const auto at = lower_bound(arrays_, name);
    return at != arrays_.end() && at->name == name ? &*at : nullptr;
  }

  std::filesystem::path path_;
  std::vector<NamedArray> arrays_;
};

}  // namespace tess::io
