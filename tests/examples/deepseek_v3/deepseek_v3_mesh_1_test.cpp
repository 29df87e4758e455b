// DeepSeek-V3 on meshes data x expert x model against the model on one device: without an expert axis.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("deepseek_v3 on 1x1x2") { check_mesh<hf::DeepseekV3, TinyDeepseek, 1, 1, 2>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 1x1x4") { check_mesh<hf::DeepseekV3, TinyDeepseek, 1, 1, 4>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 2x1x1") { check_mesh<hf::DeepseekV3, TinyDeepseek, 2, 1, 1>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 2x1x2") { check_mesh<hf::DeepseekV3, TinyDeepseek, 2, 1, 2>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 2x1x4") { check_mesh<hf::DeepseekV3, TinyDeepseek, 2, 1, 4>("deepseek_v3"); }
