// The sizes of the tiny Mixtral that transformers ran.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "mixtral/mixtral.hpp"
#include "support/hf_checks.hpp"

namespace tess::test {

struct TinyMixtral {
  static constexpr hf::Mixtral::Config value = [] {
    hf::Mixtral::Config c;
    c.hidden = 64, c.layers = 3, c.vocabulary = 256, c.heads = 4, c.kv_heads = 2, c.width = 16;
    c.ffn = 48, c.experts = 8, c.chosen = 2, c.window = 0;
    return c;
  }();
};

}  // namespace tess::test
