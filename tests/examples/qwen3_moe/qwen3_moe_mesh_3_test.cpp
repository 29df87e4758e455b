// Qwen3-MoE with one key/value head on meshes: the logits of one device and of float64, greedy tokens, the bill.
// SPDX-License-Identifier: Apache-2.0
#include "support/hf_checks.hpp"
#include "support/qwen_moe.hpp"

using namespace tess::test;

TEST_CASE("qwen3_moe_nonorm on 1 x 1 x 4") {
  check_mesh<hf::Qwen3Moe, TinyQwen3NoNorm, 1, 1, 2, 2>("qwen3_moe_nonorm");
}
TEST_CASE("qwen3_moe_nonorm on 2 x 1 x 4") {
  check_mesh<hf::Qwen3Moe, TinyQwen3NoNorm, 2, 1, 2, 2>("qwen3_moe_nonorm");
}
TEST_CASE("qwen3_moe_nonorm on 1 x 4 x 1") { check_mesh<hf::Qwen3Moe, TinyQwen3NoNorm, 1, 4, 1>("qwen3_moe_nonorm"); }
