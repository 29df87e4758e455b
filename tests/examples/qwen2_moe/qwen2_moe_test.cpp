// Qwen2-MoE against transformers: logits, hidden states, routes, greedy tokens; config.json in both spellings.
// SPDX-License-Identifier: Apache-2.0
#include "support/hf_checks.hpp"
#include "support/qwen_moe.hpp"

using namespace tess::test;

TEST_CASE("qwen2_moe: as transformers, layer by layer") { check_stages<hf::Qwen2Moe, TinyQwen2>("qwen2_moe"); }
TEST_CASE("qwen2_moe: config.json decides, in both spellings") { check_config<hf::Qwen2Moe, TinyQwen2>("qwen2_moe"); }
