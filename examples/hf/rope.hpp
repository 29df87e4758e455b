// read_rope: what config.json says of rotary positions, in either spelling, as RotaryOptions.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>

#include <tess/device/rotary_options.hpp>
#include <tess/io/config_fields.hpp>

namespace hf {

using namespace tess;

/// Of rotary embeddings: the options but for their base, and a factor for the scores, which DeepSeek scales as well.
struct Rope {
  RotaryOptions options{};
  f64 score_factor = 1;
};

/// "rope_parameters", or "rope_scaling" beside "rope_theta": plain, linear, llama3 or yarn. YaRN stretches by
/// yarn_magnitude(factor, mscale) / yarn_magnitude(factor, mscale_all_dim), the scores by the square of the latter;
/// where one of these is missing, by yarn_magnitude(factor); where "attention_factor" stands, by that.
/// Source: transformers, modeling_rope_utils.py; DeepSeek-V3's modeling_deepseek.py.
inline void read_rope(io::ConfigFields& f, Rope& rope) {
  RotaryOptions& o = rope.options;
  const std::string in = "rope_parameters.";
  std::string type;
  f(in + "rope_type", type, "default");
  if (type == "default") return;
  const auto number = [&](const char* name, f64& value, f64 otherwise) {
    value = 0;  // open
    f(in + name, value, otherwise);
  };
  o.factor = 0;
  f(in + "factor", o.factor);
  if (type == "linear") {
    o.scaling = RotaryScaling::linear;
    return;
  }
  f64 trained = 0;
  f("max_position_embeddings", trained, 0.0);
  number("original_max_position_embeddings", o.original_positions, trained);
  if (type == "llama3") {
    o.scaling = RotaryScaling::llama3;
    number("low_freq_factor", o.low_frequency, 1), number("high_freq_factor", o.high_frequency, 4);
  } else if (type == "yarn") {
    o.scaling = RotaryScaling::yarn;
    f64 mscale = 0, mscale_all = 0;
    number("beta_fast", o.beta_fast, 32), number("beta_slow", o.beta_slow, 1);
    number("mscale", mscale, 0), number("mscale_all_dim", mscale_all, 0);
    std::optional<bool> truncate;
    f(in + "truncate", truncate, true);
    o.truncate = truncate.value_or(true);
    const bool both = mscale != 0 && mscale_all != 0;
    number("attention_factor", o.magnitude,
           both ? yarn_magnitude(o.factor, mscale) / yarn_magnitude(o.factor, mscale_all) : yarn_magnitude(o.factor));
    rope.score_factor = yarn_magnitude(o.factor, mscale_all) * yarn_magnitude(o.factor, mscale_all);
  } else {
    f.problem("\"rope_type\" is \"" + io::printable(type) + "\", known are default, linear, llama3 and yarn.");
  }
}

}  // namespace hf
