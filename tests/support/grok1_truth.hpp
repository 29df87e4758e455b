// What the goldens' float64 truth leaves out: the stages between those it holds, from the same weights in float64.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <string>

#include <tess/io/checkpoint.hpp>

#include "grok1/leaves.hpp"
#include "support/golden.hpp"

namespace tess::test {

/// Float64 values of any stage of a golden folder. Projections, rotary and outer norms follow from the stages in the file.
class Truth {
 public:
  Truth(const Golden& golden, const grok1::LanguageModelConfig& config)
      : golden_(golden), config_(config), checkpoint_(grok_folder(golden.name), paths(config)) {}

  /// By the reference's name; empty for a stage that has no truth.
  Values operator()(const std::string& stage) const {
    if (golden_.has("truth/stage/" + stage)) return golden_["truth/stage/" + stage];
    const auto ends = [&](const std::string& name) { return stage.ends_with("/" + name); };
    const auto beside = [&](const std::string& from, const std::string& to) {  // another stage of the same layer
      return (*this)(stage.substr(0, stage.size() - from.size()) + to);
    };
    for (const std::string name : {"query", "key", "value"}) {
      if (ends("rotary_embedding/" + name)) return rotated(beside("rotary_embedding/" + name, name), config_.model.key_size);
      if (ends("multi_head_attention/" + name)) return product(beside("multi_head_attention/" + name, "rms_norm"), stage + "/w");
    }
    if (ends("linear") || ends("linear_v")) {
      const std::string name = ends("linear") ? "linear" : "linear_v";
      return product(beside(name, "rms_norm_2"), stage + "/w");
    }
    if (ends("linear_1")) {
      Values h = beside("linear_1", "linear");
      const Values up = beside("linear_1", "linear_v");
      for (std::size_t i = 0; i < h.size(); ++i) {
        const f64 x = h[i];
        h[i] = 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x))) * up[i];
      }
      return product(h, stage + "/w");
    }
    if (ends("router/logits")) return product(beside("router/logits", "rms_norm_2"), stage.substr(0, stage.size() - 6) + "w");
    if (ends("rms_norm_1")) return normed(beside("rms_norm_1", "multi_head_attention"), stage + "/scale");
    if (ends("rms_norm_3")) return normed(beside("rms_norm_3", config_.model.is_moe() ? "moe" : "linear_1"), stage + "/scale");
    if (stage == "language_model/rms_norm")
      return normed((*this)("transformer/decoder_layer_" + std::to_string(config_.model.num_layers - 1)), stage + "/scale");
    return {};
  }

  /// The weight in float64, int8 × scale without rounding: [K, N].
  Values weight(const std::string& path) const {
    const io::Leaf leaf = checkpoint_.read(path);
    Values w = io::values_as<f64>(leaf.weight);
    if (!leaf.scales) return w;
    const Values scales = io::values_as<f64>(*leaf.scales);
    const auto n = static_cast<std::size_t>(leaf.weight.shape.back());
    const std::size_t rows = w.size() / scales.size();  // of a group
    for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / n / rows * n + i % n];
    return w;
  }

 private:
  static std::vector<std::string> paths(const grok1::LanguageModelConfig& config) {
    std::vector<std::string> all;
    for (const grok1::Leaf& leaf : grok1::leaves(config)) all.push_back(leaf.path);
    return all;
  }

  Values product(const Values& x, const std::string& path) const {
    const Values w = weight(path);
    const std::size_t rows = golden_.tokens.size(), k = x.size() / rows, n = w.size() / k;
    Values y(rows * n);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < k; ++i)
        for (std::size_t c = 0; c < n; ++c) y[r * n + c] += x[r * k + i] * w[i * n + c];
    return y;
  }

  Values normed(Values x, const std::string& path) const {
    const Values scale = weight(path);
    const std::size_t width = scale.size();
    for (std::size_t at = 0; at < x.size(); at += width) {
      f64 sum = 0;
      for (std::size_t i = 0; i < width; ++i) sum += x[at + i] * x[at + i];
      const f64 factor = 1 / std::sqrt(sum / static_cast<f64>(width) + 1e-5);
      for (std::size_t i = 0; i < width; ++i) x[at + i] *= factor * scale[i];
    }
    return x;
  }

  Values rotated(Values x, index_t head) const {
    const auto width = static_cast<std::size_t>(head), half = width / 2, line = x.size() / golden_.tokens.size();
    for (std::size_t at = 0; at < x.size(); at += width)
      for (std::size_t i = 0; i < half; ++i) {
        const auto position = static_cast<f64>(at / line % static_cast<std::size_t>(golden_.length));
        const f64 angle = position * std::pow(10000.0, -2.0 * static_cast<f64>(i) / static_cast<f64>(width));
        const f64 a = x[at + i], b = x[at + i + half];
        x[at + i] = a * std::cos(angle) - b * std::sin(angle);
        x[at + i + half] = b * std::cos(angle) + a * std::sin(angle);
      }
    return x;
  }

  const Golden& golden_;
  const grok1::LanguageModelConfig& config_;
  io::PickleCheckpoint checkpoint_;
};

}  // namespace tess::test
