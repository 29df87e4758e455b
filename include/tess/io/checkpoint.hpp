// The official checkpoint: a folder with one pickled parameter a file, numbered in the order of their paths.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../core/error.hpp"
#include "leaf.hpp"
#include "mapped_file.hpp"
#include "pickle.hpp"
#include "printable.hpp"

namespace tess::io {

/// Sorts parameter paths "module/path/parameter" as jax.tree_util flattens Haiku's {module path: {parameter: array}}:
/// by module path, then by parameter, both as strings. So decoder_layer_0, 1, 10, 11, 2, …: the number in a file's
/// name is a position in this order, not a layer's number. Throws on a path that occurs twice or names no module.
inline std::vector<std::string> haiku_leaf_order(std::vector<std::string> paths) {
  auto key = [](std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos)
      fail("parameter path '", path, "' names no module; expected module/parameter.");
    return std::pair(path.substr(0, slash), path.substr(slash + 1));
  };
  for (const std::string& path : paths) (void)key(path);
  std::sort(paths.begin(), paths.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  if (const auto twice = std::adjacent_find(paths.begin(), paths.end()); twice != paths.end())
    fail("parameter path '", *twice, "' occurs twice.");
  return paths;
}

/// A folder of tensorNNNNN_000 files. The constructor looks at names only; each `read` maps one file, and the returned
/// views unmap it when they go: memory is bounded by the parameters in use.
class PickleCheckpoint {
 public:
  /// `folder` holds tensor00000_000, or contains the folder ckpt-0 that does. `leaf_paths`: the parameters that the
  /// configuration expects, in the order of the files (`haiku_leaf_order`).
  /// Errors: no folder; no checkpoint in it; more, fewer or missing files; a checkpoint of several hosts.
  PickleCheckpoint(const std::filesystem::path& folder, std::vector<std::string> leaf_paths)
      : folder_(locate(folder)), paths_(std::move(leaf_paths)) {
    if (paths_.empty()) fail(folder_.string(), ": no parameter is expected of this checkpoint; leaf_paths is empty.");
    for (std::size_t i = 0; i < paths_.size(); ++i)
      if (!index_.emplace(paths_[i], i).second) fail("parameter path '", paths_[i], "' occurs twice.");
    check_files();
  }

  [[nodiscard]] index_t size() const { return static_cast<index_t>(paths_.size()); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const std::vector<std::string>& leaf_paths() const { return paths_; }
  [[nodiscard]] bool contains(std::string_view path) const { return index_.find(path) != index_.end(); }

  [[nodiscard]] std::filesystem::path file_of(std::string_view path) const {
    const auto found = index_.find(path);
    if (found == index_.end())
      fail(folder_.string(), ": has no parameter '", printable(path), "' in this configuration.");
    return folder_ / file_name(found->second);
  }

  /// The parameter at `path`. Errors: those of MappedFile and parse_pickle, with the parameter's path.
  [[nodiscard]] Leaf read(std::string_view path) const {
    const std::filesystem::path file = file_of(path);
    try {
      return read_pickle(MappedFile(file));
    } catch (const Error& error) {
      fail("parameter ", path, ":\n  ", error.what());
    }
  }

 private:
  static std::string file_name(std::size_t index) {
    const std::string digits = std::to_string(index);
    return "tensor" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits + "_000";
  }

  static std::filesystem::path locate(const std::filesystem::path& folder) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder, ignored))
      fail(folder.string(), ": does not exist; expected a checkpoint's folder.");
    if (!std::filesystem::is_directory(folder, ignored))
      fail(folder.string(), ": is not a directory; expected the folder that holds tensor00000_000, or its parent.");
    const bool parent = std::filesystem::is_directory(folder / "ckpt-0", ignored);
    return parent ? folder / "ckpt-0" : folder;
  }

  struct Name {
    std::size_t index, host;
  };

  /// Of "tensor00012_000": 12 and 0. Other files (README, .gitattributes, unfinished downloads) are none of our
  /// business.
  static std::optional<Name> parse(std::string_view name) {
    constexpr std::string_view head = "tensor";
    const std::size_t bar = name.find('_');
    if (!name.starts_with(head) || bar == std::string_view::npos) return std::nullopt;
    auto number = [](std::string_view digits, std::size_t width) -> std::optional<std::size_t> {
      if (digits.size() != width) return std::nullopt;
      std::size_t value = 0;
      for (const char c : digits) {
        if (c < '0' || c > '9') return std::nullopt;
        value = 10 * value + static_cast<std::size_t>(c - '0');
      }
      return value;
    };
    const auto index = number(name.substr(head.size(), bar - head.size()), 5);
    const auto host = number(name.substr(bar + 1), 3);
    return index && host ? std::optional(Name{*index, *host}) : std::nullopt;
  }

  void check_files() const {
    std::error_code error;
    std::vector<bool> present(paths_.size());
    std::size_t count = 0;
    std::filesystem::directory_iterator entry(folder_, error), end;
    for (; !error && entry != end; entry.increment(error)) {
      const auto name = parse(entry->path().filename().string());
      if (!name) continue;
      if (name->host != 0)
        fail(folder_.string(), ": ", entry->path().filename().string(), " was saved by host ", name->host,
             " of several, each of which holds a part of every parameter.\n  ",
             "Only checkpoints of one host (tensorNNNNN_000), as released, can be read: gather it to one host and save "
             "it again.");
      ++count;
      if (name->index < present.size()) present[name->index] = true;
    }
    if (error) fail(folder_.string(), ": cannot be listed: ", error.message(), ".");
    if (count == 0)
      fail(folder_.string(), ": holds no checkpoint; expected the files tensor00000_000 to ",
           file_name(paths_.size() - 1), ".");
    const auto gap = static_cast<std::size_t>(std::find(present.begin(), present.end(), false) - present.begin());
    const bool all_present = gap == present.size();
    if (all_present && count == present.size()) return;
    const std::string holds = folder_.string() + ": holds " + std::to_string(count) +
                              " parameters, the configuration expects " + std::to_string(paths_.size());
    if (all_present || gap == count)
      fail(holds, ".\n  Is it the checkpoint of this configuration? Compare the number of layers and experts",
           all_present ? "." : "; or the download is incomplete.");
    fail(holds, ": ", file_name(gap), " is missing (", paths_[gap], ").\n  Download or copy it again.");
  }

  std::filesystem::path folder_;
  std::vector<std::string> paths_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace tess::io
