// Scope: the path of a parameter; every layer offers `parameters(scope, f)`, which calls f(path, tensor).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "../core/error.hpp"
#include "../sharding/shard_bytes.hpp"

namespace tess::nn {

/// A module path, "transformer/decoder_layer_3" with `/ "router"` below it. Compilers can have one, too: a std::string
/// is no constant in g++ 12 and clang 14.
class Scope {
 public:
  constexpr Scope() {}
  constexpr explicit Scope(std::string_view path) { append(path); }
  constexpr Scope(const Scope& o) { append(o.text()); }
  constexpr Scope& operator=(const Scope& o) {
    if (this != &o) {
      size_ = 0;
      append(o.text());
    }
    return *this;
  }

  friend constexpr Scope operator/(Scope s, std::string_view name) {
    if (s.size_ > 0) s.append("/");
    s.append(name);
    return s;
  }
  /// "…/decoder_layer_" -> "…/decoder_layer_12"
  constexpr Scope numbered(std::size_t i) const {
    Scope s(*this);
    char digits[20] = {};
    std::size_t first = 20;
    do digits[--first] = static_cast<char>('0' + i % 10);
    while (i /= 10);
    s.append({digits + first, 20 - first});
    return s;
  }
  constexpr std::string_view text() const { return {text_, size_}; }
  std::string path() const { return std::string(text()); }

 private:
  static constexpr std::size_t capacity = 256;
  std::size_t size_ = 0;
  char text_[capacity];  // only the first `size_` are set: a compiler pays for every character

  constexpr void append(std::string_view more) {
    if (size_ + more.size() > capacity) fail("[nn] a parameter's path has more than 256 characters");
    for (const char c : more) text_[size_++] = c;
  }
};

/// Bytes of all parameters of a layer or model that one device holds. A constant wherever the layer is.
template <class Layer>
constexpr index_t parameter_bytes(Layer layer) {
  index_t bytes = 0;
  const auto add = [&bytes](const Scope&, const auto& w) { bytes += shard_bytes(w); };
  if constexpr (requires { layer.parameters(add); }) layer.parameters(add);
  else layer.parameters(Scope(), add);
  return bytes;
}

}  // namespace tess::nn
