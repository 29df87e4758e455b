// The sizes of the tiny GPT-OSS that transformers ran.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "gpt_oss/gpt_oss.hpp"
#include "support/hf_checks.hpp"

namespace tess::test {

struct TinyGptOss {
  static constexpr hf::GptOss::Config value = [] {
    hf::GptOss::Config c;
    c.hidden = 64, c.layers = 3, c.vocabulary = 256, c.heads = 8, c.kv_heads = 2, c.width = 16;
    c.ffn = 40, c.experts = 8, c.chosen = 4, c.window.size = 8;
    return c;
  }();
};

}  // namespace tess::test
