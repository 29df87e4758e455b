// Qwen3-MoE on meshes: the logits of one device and of float64, the same greedy tokens, and the bytes of the bill.
// SPDX-License-Identifier: Apache-2.0
#include "support/hf_checks.hpp"
#include "support/qwen_moe.hpp"

using namespace tess::test;

TEST_CASE("qwen3_moe on 1 x 1 x 2") { check_mesh<hf::Qwen3Moe, TinyQwen3, 1, 1, 2>("qwen3_moe"); }
TEST_CASE("qwen3_moe on 2 x 1 x 1") { check_mesh<hf::Qwen3Moe, TinyQwen3, 2, 1, 1>("qwen3_moe"); }
TEST_CASE("qwen3_moe on 1 x 2 x 1") { check_mesh<hf::Qwen3Moe, TinyQwen3, 1, 2, 1>("qwen3_moe"); }
