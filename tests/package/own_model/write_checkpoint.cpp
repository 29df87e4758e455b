// Writes a checkpoint of given sizes in the official format, one pickle a parameter, with weights from a formula.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "../../../examples/grok1/leaves.hpp"
#include "support/pickle_writer.hpp"
#include "tess/tensor/dtype.hpp"

void write_checkpoint(const std::filesystem::path& folder, const grok1::LanguageModelConfig& config) {
  std::filesystem::create_directories(folder);
  const std::vector<grok1::Leaf> leaves = grok1::leaves(config);
  std::uint64_t state = 20240317;
  const auto uniform = [&state] {  // in (-1, 1), by Knuth's MMIX generator
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<double>(state >> 11) * 0x1p-52 - 1);
  };
  const auto elements = [](const std::vector<tess::index_t>& shape) {
    return static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), tess::index_t{1}, std::multiplies<>()));
  };
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const grok1::Leaf& leaf = leaves[i];
    std::ofstream file(folder / grok1::leaf_file(i), std::ios::binary);
    tess::test::PickleWriter pickle(file);
    const auto bytes_of = [](const auto& values) { return tess::test::from_memory(std::as_bytes(std::span(values))); };
    if (leaf.quantized()) {
      std::vector<std::int8_t> weight(elements(leaf.shape));
      for (auto& w : weight) w = static_cast<std::int8_t>(std::lround(127 * uniform()));
      std::vector<tess::index_t> shape = leaf.shape;
      const auto rows = static_cast<float>(shape[shape.size() - 2]);
      shape[shape.size() - 2] = leaf.groups;
      std::vector<tess::bf16> scales(elements(shape));
      for (auto& s : scales) s = tess::bf16((1.5f + 0.5f * uniform()) / (73 * std::sqrt(rows)));
      pickle.write_quantized(leaf.shape, bytes_of(weight), shape, bytes_of(scales));
    } else {
      std::vector<float> weight(elements(leaf.shape));
      for (float& w : weight) w = leaf.shape.size() == 1 ? 1 + 0.2f * uniform() : 0.3f * uniform();
      pickle.write_f32(leaf.shape, bytes_of(weight));
    }
  }
}
