// Qwen2-MoE on meshes: the logits of one device and of float64, the same greedy tokens, and the bytes of the bill.
// SPDX-License-Identifier: Apache-2.0
#include "support/hf_checks.hpp"
#include "support/qwen_moe.hpp"

using namespace tess::test;

TEST_CASE("qwen2_moe on 2 x 1 x 2") { check_mesh<hf::Qwen2Moe, TinyQwen2, 2, 1, 2>("qwen2_moe"); }
TEST_CASE("qwen2_moe on 2 x 1 x 4") { check_mesh<hf::Qwen2Moe, TinyQwen2, 2, 1, 2, 2>("qwen2_moe"); }
TEST_CASE("qwen2_moe on 1 x 2 x 1") { check_mesh<hf::Qwen2Moe, TinyQwen2, 1, 2, 1>("qwen2_moe"); }
