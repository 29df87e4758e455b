// Grok-1 in float64, as plainly as it can be written: the yardstick of errors at every stage, for any tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <string>

#include <tess/io/checkpoint.hpp>

#include "grok1/leaves.hpp"
#include "support/golden.hpp"

namespace tess::test {

/// By the reference's module paths; "logits" too. Arrays [T, ...], or [B, T, ...] of a batch.
using Stages = std::map<std::string, Values>;

/// The weights of a folder (int8 × scale without rounding) and the reference's arithmetic without rounding; only the two
/// multipliers are bf16 numbers. Where nobody says which experts, it takes its own.
class Truth {
 public:
  Truth(const std::filesystem::path& folder, const grok1::LanguageModelConfig& config) : config_(config) {
    std::vector<std::string> paths;
    for (const grok1::Leaf& leaf : grok1::leaves(config)) paths.push_back(leaf.path);
    const io::PickleCheckpoint checkpoint(folder, paths);
    for (const std::string& path : paths) weights_[path] = dequantized(checkpoint.read(path));
  }

  /// One sequence; experts [layers, T, k] or none.
  Stages operator()(std::span<const i32> ids, std::span<const i32> experts = {}) const {
    const auto& m = config_.model;
    const std::size_t T = ids.size(), E = static_cast<std::size_t>(m.emb_size);
    Stages s;
    const auto keep = [&](const std::string& name, Values v) -> const Values& { return s[name] = std::move(v); };

    const Values& table = weights_.at("language_model/in_out_embed/embeddings");
    Values h;
    for (const i32 id : ids) h.insert(h.end(), table.begin() + id * m.emb_size, table.begin() + (id + 1) * m.emb_size);
    keep("language_model/in_out_embed", h);
    for (f64& x : h) x *= f64{bf16(static_cast<f32>(config_.embedding_multiplier_scale))};

    for (index_t l = 0; l < m.num_layers; ++l) {
      const std::string layer = "transformer/decoder_layer_" + std::to_string(l), mha = layer + "/multi_head_attention";
      const Values& x = keep(layer + "/rms_norm", normed(h, layer + "/rms_norm"));
      const Values& q = keep(mha + "/query", product(x, weights_.at(mha + "/query/w"), T));
      const Values& k = keep(mha + "/key", product(x, weights_.at(mha + "/key/w"), T));
      const Values& v = keep(mha + "/value", product(x, weights_.at(mha + "/value/w"), T));
      const Values& turned_q = keep(mha + "/rotary_embedding/query", rotated(q, T));
      const Values& turned_k = keep(mha + "/rotary_embedding/key", rotated(k, T));
      const Values& o = keep(mha, product(attended(turned_q, turned_k, v, T), weights_.at(mha + "/linear/w"), T));
      add(h, keep(layer + "/rms_norm_1", normed(o, layer + "/rms_norm_1")));

      const Values& x2 = keep(layer + "/rms_norm_2", normed(h, layer + "/rms_norm_2"));
      Values fed(T * E);
      if (m.is_moe()) {
        const auto X = static_cast<std::size_t>(m.num_experts), top = static_cast<std::size_t>(m.num_selected_experts);
        const Values& logits = keep(layer + "/router/logits", product(x2, weights_.at(layer + "/router/w"), T));
        const Values& probs = keep(layer + "/router/probs", softmax(logits, X));
        for (std::size_t t = 0; t < T; ++t) {
          std::vector<i32> chosen(X);
          std::iota(chosen.begin(), chosen.end(), 0);
          std::stable_sort(chosen.begin(), chosen.end(),
                           [&](i32 a, i32 b) { return at(probs, t, X, a) > at(probs, t, X, b); });
          for (std::size_t j = 0; j < top; ++j) {
            const i32 e = experts.empty() ? chosen[j] : experts[(static_cast<std::size_t>(l) * T + t) * top + j];
            const Values y =
                block(std::span(x2).subspan(t * E, E), layer + "/moe/", static_cast<std::size_t>(e)).back();
            for (std::size_t i = 0; i < E; ++i) fed[t * E + i] += at(probs, t, X, e) * y[i];
          }
        }
        keep(layer + "/moe", fed);
      } else {
        Values gate, up;
        for (std::size_t t = 0; t < T; ++t) {
          const auto parts = block(std::span(x2).subspan(t * E, E), layer + "/", 0);
          gate.insert(gate.end(), parts[0].begin(), parts[0].end());
          up.insert(up.end(), parts[1].begin(), parts[1].end());
          std::copy(parts[2].begin(), parts[2].end(), fed.begin() + static_cast<std::ptrdiff_t>(t * E));
        }
        keep(layer + "/linear", gate), keep(layer + "/linear_v", up), keep(layer + "/linear_1", fed);
      }
      add(h, keep(layer + "/rms_norm_3", normed(fed, layer + "/rms_norm_3")));
      keep(layer, h);
    }
    const Values& x = keep("language_model/rms_norm", normed(h, "language_model/rms_norm"));
    Values& logits = s["logits"];
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t v = 0; v < table.size() / E; ++v)
        logits.push_back(std::inner_product(table.begin() + static_cast<std::ptrdiff_t>(v * E),
                                            table.begin() + static_cast<std::ptrdiff_t>((v + 1) * E),
                                            x.begin() + static_cast<std::ptrdiff_t>(t * E), 0.0) *
                         f64{bf16(static_cast<f32>(config_.output_multiplier_scale))});
    return s;
  }

  /// The golden's batch, zeros at padded positions; with the reference's experts [layers, B, T, k] or none.
  Stages operator()(const Golden& golden, std::span<const i32> experts = {}) const {
    const auto T = static_cast<std::size_t>(golden.length), B = static_cast<std::size_t>(golden.batch);
    const auto L = static_cast<std::size_t>(config_.model.num_layers),
               top = static_cast<std::size_t>(config_.model.num_selected_experts);
    Stages all;
    for (std::size_t b = 0; b < B; ++b) {
      const auto n = static_cast<std::size_t>(golden.lengths[b]);
      std::vector<i32> own;
      for (std::size_t l = 0; l < L && !experts.empty(); ++l) {
        const auto from = experts.subspan((l * B + b) * T * top, n * top);
        own.insert(own.end(), from.begin(), from.end());
      }
      for (auto& [name, values] : (*this)(std::span(golden.tokens).subspan(b * T, n), own)) {
        values.resize(values.size() / n * T);
        all[name].insert(all[name].end(), values.begin(), values.end());
      }
    }
    return all;
  }

 private:
  static Values dequantized(const io::Leaf& leaf) {
    Values w = io::values_as<f64>(leaf.weight);
    if (!leaf.scales) return w;
    const Values scales = io::values_as<f64>(*leaf.scales);
    const auto n = static_cast<std::size_t>(leaf.weight.shape.back());
    const std::size_t rows = w.size() / scales.size();  // of a group
    for (std::size_t i = 0; i < w.size(); ++i) w[i] *= scales[i / n / rows * n + i % n];
    return w;
  }

  static f64 at(const Values& v, std::size_t row, std::size_t width, i32 column) {
    return v[row * width + static_cast<std::size_t>(column)];
  }
  static void add(Values& to, const Values& x) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += x[i];
  }

  /// x [T, K] by w [K, N]
  static Values product(std::span<const f64> x, std::span<const f64> w, std::size_t T) {
    const std::size_t K = x.size() / T, N = w.size() / K;
    Values y(T * N);
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t k = 0; k < K; ++k)
        for (std::size_t n = 0; n < N; ++n) y[t * N + n] += x[t * K + k] * w[k * N + n];
    return y;
  }

  Values normed(Values x, const std::string& module) const {
    const Values& scale = weights_.at(module + "/scale");
    const std::size_t D = scale.size();
    for (std::size_t row = 0; row < x.size(); row += D) {
      f64 sum = 0;
      for (std::size_t i = 0; i < D; ++i) sum += x[row + i] * x[row + i];
      for (std::size_t i = 0; i < D; ++i) x[row + i] *= scale[i] / std::sqrt(sum / static_cast<f64>(D) + 1e-5);
    }
    return x;
  }

  static Values softmax(Values x, std::size_t width) {
    for (std::size_t row = 0; row < x.size(); row += width) {
      const f64 top = *std::max_element(&x[row], &x[row] + width);
      f64 sum = 0;
      for (std::size_t i = 0; i < width; ++i) sum += x[row + i] = std::exp(x[row + i] - top);
      for (std::size_t i = 0; i < width; ++i) x[row + i] /= sum;
    }
    return x;
  }

  Values rotated(Values x, std::size_t T) const {
    const auto D = static_cast<std::size_t>(config_.model.key_size), half = D / 2;
    for (std::size_t head = 0; head < x.size(); head += D)
      for (std::size_t i = 0; i < half; ++i) {
        const auto position = static_cast<f64>(head / (x.size() / T));
        const f64 angle = position * std::pow(10000.0, -2.0 * static_cast<f64>(i) / static_cast<f64>(D));
        const f64 a = x[head + i], b = x[head + i + half];
        x[head + i] = a * std::cos(angle) - b * std::sin(angle);
        x[head + i + half] = b * std::cos(angle) + a * std::sin(angle);
      }
    return x;
  }

  Values attended(const Values& q, const Values& k, const Values& v, std::size_t T) const {
    const auto D = static_cast<std::size_t>(config_.model.key_size),
               HK = static_cast<std::size_t>(config_.model.num_kv_heads),
               HQ = static_cast<std::size_t>(config_.model.num_q_heads);
    Values y(q.size());
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t h = 0; h < HQ; ++h) {
        const std::size_t kv = h / (HQ / HK);
        const f64* query = &q[(t * HQ + h) * D];
        Values score;
        for (std::size_t u = 0; u <= t; ++u)
          score.push_back(30 * std::tanh(std::inner_product(query, query + D, &k[(u * HK + kv) * D], 0.0) *
                                         config_.model.attn_output_multiplier / 30));
        score = softmax(score, t + 1);
        for (std::size_t u = 0; u <= t; ++u)
          for (std::size_t d = 0; d < D; ++d) y[(t * HQ + h) * D + d] += score[u] * v[(u * HK + kv) * D + d];
      }
    return y;
  }

  /// One token through one feed-forward block: gate before its GELU, up, and the result.
  std::vector<Values> block(std::span<const f64> x, const std::string& path, std::size_t expert) const {
    const std::size_t size = x.size() * static_cast<std::size_t>(config_.model.ffn_size());
    const auto weight = [&](const char* name) {
      return std::span(weights_.at(path + name + "/w")).subspan(expert * size, size);
    };
    Values gate = product(x, weight("linear"), 1), up = product(x, weight("linear_v"), 1), hidden(gate.size());
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const f64 g = gate[i];
      hidden[i] = 0.5 * g * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g))) * up[i];
    }
    return {gate, up, product(hidden, weight("linear_1"), 1)};
  }

  grok1::LanguageModelConfig config_;
  std::map<std::string, Values> weights_;
};

}  // namespace tess::test
