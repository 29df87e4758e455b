// Qwen3-MoE against transformers: logits, hidden states, routes, greedy tokens; with and without norm_topk_prob.
// SPDX-License-Identifier: Apache-2.0
#include "support/hf_checks.hpp"
#include "support/qwen_moe.hpp"

using namespace tess::test;

TEST_CASE("qwen3_moe: as transformers, layer by layer, the dense one between") {
  check_stages<hf::Qwen3Moe, TinyQwen3>("qwen3_moe");
}
TEST_CASE("qwen3_moe: probabilities as they are, without norm_topk_prob") {
  check_stages<hf::Qwen3Moe, TinyQwen3NoNorm>("qwen3_moe_nonorm");
}
TEST_CASE("qwen3_moe: config.json decides, in both spellings") { check_config<hf::Qwen3Moe, TinyQwen3>("qwen3_moe"); }
