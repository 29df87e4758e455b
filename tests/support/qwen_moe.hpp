// The goldens of Qwen2-MoE and Qwen3-MoE as types: all sizes known to the compiler.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "qwen2_moe/qwen2_moe.hpp"
#include "qwen3_moe/qwen3_moe.hpp"

namespace tess::test {

template <class Config>
constexpr Config tiny_qwen(index_t heads, index_t kv_heads, index_t expert_ffn) {
  Config c;
  c.hidden = 64, c.layers = 3, c.vocabulary = 256, c.heads = heads, c.kv_heads = kv_heads, c.width = 16;
  c.ffn = 80, c.expert_ffn = expert_ffn, c.experts = 8, c.chosen = 2;
  return c;
}

/// Layer 1 is dense; six heads of 16 on a stream of 64.
struct TinyQwen3 {
  static constexpr auto value = tiny_qwen<hf::Qwen3Moe::Config>(6, 2, 32);
};
/// One key/value head; weights that do not add up to one.
struct TinyQwen3NoNorm {
  static constexpr auto value = tiny_qwen<hf::Qwen3Moe::Config>(4, 1, 32);
};
struct TinyQwen2 {
  static constexpr auto value = [] {
    auto c = tiny_qwen<hf::Qwen2Moe::Config>(4, 2, 24);
    c.shared_ffn = 56;
    return c;
  }();
};

}  // namespace tess::test
