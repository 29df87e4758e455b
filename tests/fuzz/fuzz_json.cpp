// libFuzzer: any bytes as JSON are refused with an Error or are a value.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "tess/io/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)tess::io::Json::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const tess::Error&) {
  }
  return 0;
}
