// DeepSeek-V3 on meshes data x expert x model against the model on one device: whole experts on different devices.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("deepseek_v3 on 1x2x1") { check_mesh<hf::DeepseekV3, TinyDeepseek, 1, 2, 1>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 1x4x1") { check_mesh<hf::DeepseekV3, TinyDeepseek, 1, 4, 1>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 1x2x2") { check_mesh<hf::DeepseekV3, TinyDeepseek, 1, 2, 2>("deepseek_v3"); }
TEST_CASE("deepseek_v3 on 2x2x2") { check_mesh<hf::DeepseekV3, TinyDeepseek, 2, 2, 2>("deepseek_v3"); }
