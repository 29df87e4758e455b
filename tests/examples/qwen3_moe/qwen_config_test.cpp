// config.json of Qwen's mixtures as the hub has them: read in full, and refused where the numbers would be others.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "support/files.hpp"
#include "support/qwen_moe.hpp"

using namespace tess;
using namespace tess::test;

namespace {

/// The fields of Qwen3-30B-A3B.
const std::string qwen3 = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
  "decoder_sparse_step": 1, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048,
  "initializer_range": 0.02, "intermediate_size": 6144, "max_position_embeddings": 40960, "max_window_layers": 48,
  "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 768, "norm_topk_prob": true,
  "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
  "num_key_value_heads": 4, "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_scaling": null,
  "rope_theta": 1000000, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false,
  "vocab_size": 151936})";
/// Those of Qwen1.5-MoE-A2.7B, which has no head_dim and no mlp_only_layers.
const std::string qwen2 = R"({
  "architectures": ["Qwen2MoeForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643,
  "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 5632,
  "max_position_embeddings": 8192, "max_window_layers": 21, "model_type": "qwen2_moe", "num_attention_heads": 16,
  "num_hidden_layers": 24, "num_key_value_heads": 16, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "sliding_window": 32768, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.39.0",
  "use_cache": true, "use_sliding_window": false, "vocab_size": 151936, "decoder_sparse_step": 1,
  "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4, "num_experts": 60,
  "norm_topk_prob": false, "output_router_logits": false, "router_aux_loss_coef": 0.001})";

template <class Config>
Config read(const std::string& json, Config config = {}) {
  io::ConfigFields fields(io::Json::parse(json, "config.json"), "config.json");
  config.read(fields);
  fields.check();
  return config;
}
template <class Config>
std::string refusal(const std::string& json) {
  try {
    read<Config>(json);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Qwen3-30B-A3B and Qwen1.5-MoE-A2.7B as published") {
  const auto three = read<hf::Qwen3Moe::Config>(qwen3);
  CHECK(three.width == 128);
  CHECK(three.experts == 128);
  CHECK(three.normalize == true);
  CHECK(three.rope_base == 1e6);
  CHECK(three.positions.options.scaling == RotaryScaling::none);
  for (std::size_t layer = 0; layer < 48; ++layer) CHECK(three.is_sparse(layer));
  const auto two = read<hf::Qwen2Moe::Config>(qwen2);
  CHECK(two.width == 128);
  CHECK(two.normalize == false);
  CHECK(two.shared_ffn == 5632);
}

TEST_CASE("positions stretched by YaRN, as the model's card advises for long prompts") {
  const auto c = read<hf::Qwen3Moe::Config>(
      replaced(qwen3, "\"rope_scaling\": null",
               R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768})"));
  CHECK(c.positions.options.scaling == RotaryScaling::yarn);
  CHECK(c.positions.options.factor == 4);
  CHECK(c.positions.options.original_positions == 32768);
  CHECK(c.positions.options.magnitude == doctest::Approx(yarn_magnitude(4)));
}

TEST_CASE("Qwen3-Coder's files say besides what they do not have") {
  const auto coder = [](const char* experts) {
    return replaced(qwen3, "\"vocab_size\"",
                    "\"qkv_bias\": false, \"use_qk_norm\": true, \"shared_expert_intermediate_size\": " +
                        std::string(experts) + ", \"vocab_size\"");
  };
  CHECK(refusal<hf::Qwen3Moe::Config>(coder("0")) == "");
  CHECK(contains(refusal<hf::Qwen3Moe::Config>(coder("512")), "\"shared_expert_intermediate_size\" is 512"));
}

TEST_CASE("every second layer sparse, and one of them dense after all") {
  std::string json = replaced(qwen3, "\"decoder_sparse_step\": 1", "\"decoder_sparse_step\": 2");
  json = replaced(json, "\"mlp_only_layers\": []", "\"mlp_only_layers\": [3]");
  const auto c = read<hf::Qwen3Moe::Config>(json);
  CHECK_FALSE(c.is_sparse(0));
  CHECK(c.is_sparse(1));
  CHECK_FALSE(c.is_sparse(3));
  CHECK(c.is_sparse(5));
}

TEST_CASE("what would change the numbers is refused by name") {
  using Three = hf::Qwen3Moe::Config;
  const auto says = [](const std::string& json, const char* what) {
    CHECK_MESSAGE(contains(refusal<Three>(json), what), refusal<Three>(json));
  };
  says(replaced(qwen3, "\"use_sliding_window\": false", "\"use_sliding_window\": true"), "use_sliding_window");
  says(replaced(qwen3, "\"attention_bias\": false", "\"attention_bias\": true"), "attention_bias");
  says(replaced(qwen3, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\""), "hidden_act");
  says(replaced(qwen3, "\"decoder_sparse_step\": 1", "\"decoder_sparse_step\": 0"), "decoder_sparse_step");
  says(replaced(qwen3, "\"vocab_size\"", "\"layer_types\": [\"sliding_attention\"], \"vocab_size\""), "layer_types");
  says(replaced(qwen3, "\"vocab_size\"", "\"logit_scale\": 2, \"vocab_size\""), "logit_scale");
  says(replaced(qwen3, "qwen3_moe\"", "qwen3\""), "model_type");
  CHECK(contains(refusal<hf::Qwen2Moe::Config>(replaced(qwen2, "\"shared_expert_intermediate_size\": 5632, ", "")),
                 "shared_expert_intermediate_size"));

  CHECK_THROWS_WITH_AS(read<Three>(qwen3, TinyQwen3::value), doctest::Contains("the model's type says 64"), Error);
}
