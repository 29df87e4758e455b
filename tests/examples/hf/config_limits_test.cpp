// Hostile config.json files: numbers that would crash, wrap around or fill the memory are one error, and early.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "deepseek_v3/deepseek_v3.hpp"
#include "gpt_oss/gpt_oss.hpp"
#include "mixtral/mixtral.hpp"
#include "qwen2_moe/qwen2_moe.hpp"
#include "qwen3_moe/qwen3_moe.hpp"
#include "support/files.hpp"

using namespace tess;
using namespace tess::test;

namespace {

/// What Family says of the golden's config.json with other values for some of its fields.
template <class Family>
std::string refusal(const std::string& golden, std::initializer_list<std::pair<std::string, std::string>> changes) {
  std::string json = read_file(std::filesystem::path(TESS_HF_DATA) / golden / "config.json");
  for (const auto& [field, value] : changes) {
    const std::size_t begin = json.find("\"" + field + "\": ") + field.size() + 4;
    REQUIRE(begin > field.size() + 4);
    json.replace(begin, json.find_first_of(",}\n", begin) - begin, value);
  }
  return error_of([&] {
    io::ConfigFields fields(io::Json::parse(json, "config.json"), "config.json");
    typename Family::Config config;
    config.read(fields);
    fields.check();
  });
}

}  // namespace

TEST_CASE_TEMPLATE("heads without width, and streams narrower than heads are many", F, hf::Mixtral, hf::Qwen3Moe,
                   hf::GptOss) {
  const std::string golden = std::is_same_v<F, hf::Mixtral>    ? "mixtral"
                             : std::is_same_v<F, hf::Qwen3Moe> ? "qwen3_moe"
                                                               : "gpt_oss";
  CHECK(refusal<F>(golden, {}) == "");
  CHECK(contains(refusal<F>(golden, {{"head_dim", "0"}}), "\"head_dim\" is 0"));
  CHECK(contains(refusal<F>(golden, {{"head_dim", "null"}, {"hidden_size", "3"}}), "\"hidden_size\" is less than"));
  CHECK(contains(refusal<F>(golden, {{"rms_norm_eps", "-1"}}), "\"rms_norm_eps\" is not between 0 and 1"));
}

TEST_CASE("layers and experts by the million are refused before one is made") {
  const std::string many = "1000000", most = " is 1000000, expected 4096 at most.";
  const std::pair<std::string, std::string> layers{"num_hidden_layers", many};
  CHECK(contains(refusal<hf::Mixtral>("mixtral", {layers}), "\"num_hidden_layers\"" + most));
  CHECK(contains(refusal<hf::Mixtral>("mixtral", {{"num_local_experts", many}}), "\"num_local_experts\"" + most));
  CHECK(contains(refusal<hf::Qwen2Moe>("qwen2_moe", {{"num_experts", many}}), "\"num_experts\"" + most));
  CHECK(contains(refusal<hf::Qwen3Moe>("qwen3_moe", {{"num_local_experts", many}}), "\"num_experts\"" + most));
  CHECK(contains(refusal<hf::GptOss>("gpt_oss", {{"num_local_experts", many}}), "\"num_local_experts\"" + most));
  CHECK(contains(refusal<hf::DeepseekV3>("deepseek_v3", {{"n_routed_experts", many}}), "\"n_routed_experts\"" + most));
  CHECK(contains(refusal<hf::DeepseekV3>("deepseek_v3", {{"num_nextn_predict_layers", many}}),
                 "\"num_nextn_predict_layers\"" + most));
}

TEST_CASE("groups of experts are equal, and those that stay have enough") {
  const auto says = [](const char* groups, const char* kept, const char* chosen) {
    return refusal<hf::DeepseekV3>("deepseek_v3",
                                   {{"n_group", groups}, {"topk_group", kept}, {"num_experts_per_tok", chosen}});
  };
  CHECK(says("4", "2", "4") == "");  // of 16 experts
  CHECK(says("1", "1", "16") == "");
  CHECK(contains(says("3", "2", "4"), "\"n_group\" is 3, \"topk_group\" 2: expected equal groups of the 16 experts"));
  CHECK(contains(says("16", "8", "4"), "two or more in each"));
  CHECK(contains(says("4", "5", "4"), "\"topk_group\" 5"));
  CHECK(contains(says("8", "2", "5"), "at least 5 in those that stay"));
}
