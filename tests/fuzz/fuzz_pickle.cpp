// libFuzzer: any bytes as a pickle are refused with an Error or yield arrays inside them.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <functional>

#include "tess/io/pickle.hpp"

namespace {

std::uint8_t sum;  // keeps the reads

void check(const tess::io::ArrayView& view, std::span<const std::byte> file) {
  const std::less_equal<const std::byte*> not_after;
  const bool inside = not_after(file.data(), view.data.data()) &&
                      not_after(view.data.data() + view.data.size(), file.data() + file.size()) &&
                      view.data.data() == file.data() + view.offset;
  if (!inside || tess::io::byte_size(view.dtype, view.shape) != view.data.size()) std::abort();
  for (const std::byte b : view.data) sum = static_cast<std::uint8_t>(sum + std::to_integer<unsigned>(b));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  try {
    const tess::io::Leaf leaf = tess::io::parse_pickle(file, "fuzz");
    check(leaf.weight, file);
    if (leaf.scales) check(*leaf.scales, file);
    if (leaf.scales && (leaf.groups() < 1 || leaf.weight.shape[leaf.weight.shape.size() - 2] % leaf.groups() != 0))
      std::abort();
  } catch (const tess::Error&) {
  }
  return 0;
}
