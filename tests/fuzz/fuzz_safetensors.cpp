// libFuzzer: any bytes as a safetensors file are refused with an Error or yield arrays that tile the data.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>

#include "tess/io/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  try {
    std::size_t covered = 0;
    for (const auto& [name, array] : tess::io::parse_safetensors(file, "fuzz")) {
      if (array.offset > size || array.data.size() > size - array.offset) std::abort();
      if (array.data.data() != file.data() + array.offset) std::abort();
      if (tess::io::byte_size(array.dtype, array.shape) != array.data.size()) std::abort();
      covered += array.data.size();
    }
    const auto header = tess::io::detail::load<std::uint64_t>(file.data());
    if (8 + header + covered != size) std::abort();
  } catch (const tess::Error&) {
  }
  return 0;
}
