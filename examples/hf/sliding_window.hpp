// SlidingWindow: what config.json says of layers that see only the last tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include <tess/io/config_fields.hpp>

namespace hf {

using namespace tess;

/// "sliding_window" is how many tokens the layers of type "sliding_attention" see; null or 0: all.
struct SlidingWindow {
  index_t size = dyn;
  std::vector<std::string> types{};  // of the layers; none: every other one slides, the first among them

  void read(io::ConfigFields& f, index_t layers) {
    f("sliding_window", size, 0);
    types = f.strings("layer_types");
    if (!types.empty() && static_cast<index_t>(types.size()) != layers)
      f.problem("\"layer_types\" has " + std::to_string(types.size()) + " of " + std::to_string(layers) + " layers.");
    for (const std::string& type : types)
      if (type != "full_attention" && type != "sliding_attention")
        f.problem("\"layer_types\" has " + io::printable(type) + ", known are full_attention and sliding_attention.");
  }
  /// The window of a layer, as AttentionOptions have it.
  [[nodiscard]] index_t of(std::size_t layer) const {
    const bool slides = types.empty() ? layer % 2 == 0 : types[layer] == "sliding_attention";
    return slides ? size : 0;
  }
};

}  // namespace hf
