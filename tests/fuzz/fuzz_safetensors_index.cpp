// libFuzzer: any bytes as an index are refused with an Error or name parts that lie beside the index.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "tess/io/safetensors_checkpoint.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [tensor, part] : tess::io::parse_safetensors_index(text, "fuzz"))
      if (part.empty() || std::filesystem::path(part).filename() != part || part == "..") std::abort();
  } catch (const tess::Error&) {
  }
  return 0;
}
