// GPT-OSS on meshes data x expert x model against the model on one device: whole experts on different devices.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("gpt_oss on 1x2x1") { check_mesh<hf::GptOss, TinyGptOss, 1, 2, 1>("gpt_oss"); }
TEST_CASE("gpt_oss on 1x4x1") { check_mesh<hf::GptOss, TinyGptOss, 1, 4, 1>("gpt_oss"); }
TEST_CASE("gpt_oss on 1x2x2") { check_mesh<hf::GptOss, TinyGptOss, 1, 2, 2>("gpt_oss"); }
TEST_CASE("gpt_oss on 2x2x2") { check_mesh<hf::GptOss, TinyGptOss, 2, 2, 2>("gpt_oss"); }
TEST_CASE("gpt_oss on 1x2x2: saved as it was published") { check_saved<hf::GptOss, TinyGptOss, 1, 2, 2>("gpt_oss"); }
