// The sizes of the tiny DeepSeek-V3 that transformers ran.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "deepseek_v3/deepseek_v3.hpp"
#include "support/hf_checks.hpp"

namespace tess::test {

struct TinyDeepseek {
  static constexpr hf::DeepseekV3::Config value = [] {
    hf::DeepseekV3::Config c;
    c.hidden = 64, c.layers = 3, c.vocabulary = 256, c.heads = 4, c.kv_heads = 4;
    c.query_rank = 32, c.latent = 24, c.nope = 16, c.rope = 8, c.value = 12;
    c.dense_layers = 1, c.ffn = 80, c.expert_ffn = 24, c.shared = 2, c.experts = 16, c.chosen = 4;
    c.groups = 4, c.kept_groups = 2;
    return c;
  }();
};

}  // namespace tess::test
