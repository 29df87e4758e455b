// GPT-OSS on one device against transformers: logits, hidden states, routes, greedy tokens; config.json.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("gpt_oss: as transformers, layer by layer") { check_stages<hf::GptOss, TinyGptOss>("gpt_oss"); }
TEST_CASE("gpt_oss: config.json decides, in both spellings") { check_config<hf::GptOss, TinyGptOss>("gpt_oss"); }
TEST_CASE("gpt_oss: saved as it was published") { check_saved<hf::GptOss, TinyGptOss, 1, 1, 1>("gpt_oss"); }
