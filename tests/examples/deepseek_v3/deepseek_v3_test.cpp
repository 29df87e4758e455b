// DeepSeek-V3 on one device against transformers: logits, hidden states, routes, greedy tokens; config.json; saving.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("deepseek_v3: as transformers, layer by layer") { check_stages<hf::DeepseekV3, TinyDeepseek>("deepseek_v3"); }
TEST_CASE("deepseek_v3: config.json decides, in both spellings") {
  check_config<hf::DeepseekV3, TinyDeepseek>("deepseek_v3");
}
TEST_CASE("deepseek_v3: saved as it was published") {
  check_saved<hf::DeepseekV3, TinyDeepseek, 1, 1, 2>("deepseek_v3");
}
