// What tests of experts compare with, in f64: the most probable experts of a token, and the weighted sum of their rows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "support/tensors.hpp"

namespace support {

/// For every token its experts, best first, and their weights: [tokens, k] each.
struct Choices {
  std::vector<i32> experts;
  std::vector<f64> weights;
};

/// Softmax over E logits a token, then the k largest; divided by their sum if `normalize`.
inline Choices most_probable(const std::vector<f64>& logits, index_t E, index_t k, bool normalize = false) {
  Choices c;
  for (index_t token = 0; token < static_cast<index_t>(logits.size()) / E; ++token) {
    const f64* row = logits.data() + token * E;
    std::vector<i32> order(static_cast<std::size_t>(E));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) { return row[a] > row[b]; });
    f64 all = 0, chosen = 0;
    for (index_t e = 0; e < E; ++e) all += std::exp(row[e]);
    for (index_t j = 0; j < k; ++j) chosen += std::exp(row[order[static_cast<std::size_t>(j)]]);
    for (index_t j = 0; j < k; ++j) {
      c.experts.push_back(order[static_cast<std::size_t>(j)]);
      c.weights.push_back(std::exp(row[c.experts.back()]) / (normalize ? chosen : all));
    }
  }
  return c;
}

/// Row `token` of x [tokens, width].
inline std::vector<f64> row(const std::vector<f32>& x, index_t token, index_t width) {
  return {x.begin() + token * width, x.begin() + (token + 1) * width};
}
/// Matrix e of w [E, in, out].
inline std::vector<f32> matrix(const std::vector<f32>& w, index_t e, index_t in, index_t out) {
  return {w.begin() + e * in * out, w.begin() + (e + 1) * in * out};
}

/// For every token the sum over its k choices of weight · network(row of the token, expert), one after another.
template <class Weight, class Network>
std::vector<f64> weighted_sum(const std::vector<f32>& x, index_t width, const std::vector<i32>& experts,
                              const std::vector<Weight>& weights, index_t k, Network network) {
  std::vector<f64> y;
  for (index_t token = 0; token < static_cast<index_t>(x.size()) / width; ++token) {
    std::vector<f64> sum;
    for (index_t j = 0; j < k; ++j) {
      const auto at = static_cast<std::size_t>(token * k + j);
      const std::vector<f64> out = network(row(x, token, width), experts[at]);
      sum.resize(out.size());
      for (std::size_t i = 0; i < out.size(); ++i) sum[i] += static_cast<f64>(weights[at]) * out[i];
    }
    y.insert(y.end(), sum.begin(), sum.end());
  }
  return y;
}

}  // namespace support
