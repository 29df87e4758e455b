// Text from a hostile file, made safe to print: no control characters reach the terminal, nothing long does.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tess::io {

/// At most 80 bytes of `text`, everything but printable ASCII as \xNN; "…" where it was cut.
inline std::string printable(std::string_view text) {
  constexpr std::size_t limit = 80;
  constexpr std::string_view hex = "0123456789abcdef";
  std::string safe;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) safe += c;
    else safe += std::string("\\x") + hex[byte >> 4] + hex[byte & 15u];
  }
  return text.size() > limit ? safe + "…" : safe;
}

}  // namespace tess::io
