// libFuzzer: any bytes as config.json are refused with an Error, or leave every number in its range.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "tess/io/config_fields.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tess::index_t;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    tess::io::ConfigFields f(tess::io::Json::parse(text, "fuzz"), "fuzz");
    index_t hidden = tess::dyn, heads = 4;
    double eps = 0, theta = 0;
    std::optional<bool> normalize;
    f("hidden_size", hidden), f({"heads", "num_heads"}, heads, 4), f("rms_norm_eps", eps, 1e-6);
    f("rope_parameters.rope_theta", theta, 1e4), f("norm_topk_prob", normalize, false);
    f.is("hidden_act", "silu"), f.is("rope_parameters.rope_type", "default");
    const auto dense = f.integers("mlp_only_layers");
    f.check();
    if (hidden < 1 || hidden > index_t{1} << 24 || heads != 4 || !std::isfinite(eps) || !normalize) std::abort();
    for (const index_t layer : dense)
      if (layer < 0) std::abort();
  } catch (const tess::Error&) {
  }
  return 0;
}
