// GPT-OSS on meshes data x expert x model against the model on one device: without an expert axis.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("gpt_oss on 1x1x2") { check_mesh<hf::GptOss, TinyGptOss, 1, 1, 2>("gpt_oss"); }
TEST_CASE("gpt_oss on 1x1x4") { check_mesh<hf::GptOss, TinyGptOss, 1, 1, 2, 2>("gpt_oss"); }
TEST_CASE("gpt_oss on 2x1x1") { check_mesh<hf::GptOss, TinyGptOss, 2, 1, 1>("gpt_oss"); }
TEST_CASE("gpt_oss on 2x1x2") { check_mesh<hf::GptOss, TinyGptOss, 2, 1, 2>("gpt_oss"); }
TEST_CASE("gpt_oss on 2x1x4") { check_mesh<hf::GptOss, TinyGptOss, 2, 1, 2, 2>("gpt_oss"); }
