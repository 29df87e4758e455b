// Scope: the path of a parameter; every layer offers `parameters(scope, f)`, which calls f(path, tensor).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

namespace tess::nn {

/// A module path, "transformer/decoder_layer_3" with `/ "router"` below it.
class Scope {
 public:
  Scope() = default;
  explicit Scope(std::string path) : path_(std::move(path)) {}
  friend Scope operator/(const Scope& s, std::string_view name) {
    std::string path = s.path_;
    if (!path.empty()) path += '/';
    return Scope(path.append(name));
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tess::nn
