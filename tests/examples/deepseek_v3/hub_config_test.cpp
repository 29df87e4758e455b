// The hub's config.json of DeepSeek-V3: every size, and YaRN's numbers against modeling_deepseek.py, line by line.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <tess/device/dry.hpp>

#include "deepseek_v3/deepseek_v3.hpp"
#include "support/files.hpp"

using namespace tess::test;
using namespace tess;

namespace {

const std::string hub = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
  "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
  "aux_loss_alpha": 0.001, "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3,
  "hidden_act": "silu", "hidden_size": 7168, "initializer_range": 0.02, "intermediate_size": 18432, "kv_lora_rank": 512,
  "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 2048, "moe_layer_freq": 1,
  "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 128,
  "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
  "pretraining_tp": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                          "weight_block_size": [128, 128]},
  "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
                   "original_max_position_embeddings": 4096, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "seq_aux": true,
  "tie_word_embeddings": false, "topk_group": 4, "topk_method": "noaux_tc", "torch_dtype": "bfloat16",
  "transformers_version": "4.33.1", "use_cache": true, "v_head_dim": 128, "vocab_size": 129280})";

/// The sizes of that file, for the type.
struct Published {
  static constexpr hf::DeepseekV3::Config value = [] {
    hf::DeepseekV3::Config c;
    c.hidden = 7168, c.layers = 61, c.vocabulary = 129280, c.heads = 128, c.kv_heads = 128;
    c.query_rank = 1536, c.latent = 512, c.nope = 128, c.rope = 64, c.value = 128;
    c.dense_layers = 3, c.ffn = 18432, c.expert_ffn = 2048, c.shared = 1, c.experts = 256, c.chosen = 8;
    c.groups = 8, c.kept_groups = 4;
    return c;
  }();
};

hf::DeepseekV3::Config read(const std::string& json, hf::DeepseekV3::Config c = {}) {
  io::ConfigFields f(io::Json::parse(json, "config.json"), "config.json");
  c.read(f);
  f.check();
  return c;
}

// modeling_deepseek.py, transcribed
f64 yarn_get_mscale(f64 scale, f64 mscale) { return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0; }
f64 yarn_find_correction_dim(f64 rotations, f64 dim, f64 base, f64 max_positions) {
  return (dim * std::log(max_positions / (rotations * 2 * std::numbers::pi))) / (2 * std::log(base));
}
std::vector<f64> yarn_inverse_frequencies(index_t dim, f64 base, f64 factor, f64 original, f64 beta_fast,
                                          f64 beta_slow) {
  const auto width = static_cast<f64>(dim);
  const f64 low = std::max(std::floor(yarn_find_correction_dim(beta_fast, width, base, original)), 0.0);
  const f64 high = std::min(std::ceil(yarn_find_correction_dim(beta_slow, width, base, original)), width - 1);
  std::vector<f64> inv_freq;
  for (index_t i = 0; i < dim / 2; ++i) {
    const f64 freq_extra = 1.0 / std::pow(base, 2 * static_cast<f64>(i) / width), freq_inter = freq_extra / factor;
    const f64 ramp = std::clamp((static_cast<f64>(i) - low) / (high - low), 0.0, 1.0), inv_freq_mask = 1.0 - ramp;
    inv_freq.push_back(freq_inter * (1 - inv_freq_mask) + freq_extra * inv_freq_mask);
  }
  return inv_freq;
}

}  // namespace

TEST_CASE("every number of the hub's file is read") {
  const auto c = read(hub);
  CHECK(std::vector<index_t>{c.hidden, c.layers, c.vocabulary, c.heads, c.query_rank, c.latent, c.nope, c.rope,
                             c.value} == std::vector<index_t>{7168, 61, 129280, 128, 1536, 512, 128, 64, 128});
  CHECK(std::vector<index_t>{c.dense_layers, c.ffn, c.expert_ffn, c.shared, c.experts, c.chosen, c.groups,
                             c.kept_groups,
                             c.guessing_layers} == std::vector<index_t>{3, 18432, 2048, 1, 256, 8, 8, 4, 1});
  CHECK(c.eps == 1e-6);
  CHECK(c.rope_base == 10000);
  CHECK(c.routed_scale == 2.5);
  CHECK(c.normalize.value());
}

TEST_CASE("YaRN: frequencies, magnitude, and the scale of the scores") {
  const auto c = read(hub);
  RotaryOptions o = c.positions.options;
  o.base = c.rope_base;
  CHECK(o.scaling == RotaryScaling::yarn);
  const auto found = rotary_frequencies(o, c.rope), truth = yarn_inverse_frequencies(64, 10000, 40, 4096, 32, 1);
  REQUIRE(found.size() == truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) CHECK(found[i] == doctest::Approx(truth[i]).epsilon(1e-14));
  CHECK(found.front() == 1);
  CHECK(found.back() == doctest::Approx(std::pow(10000.0, -62.0 / 64) / 40).epsilon(1e-14));
  CHECK(rotary_magnitude(o) == yarn_get_mscale(40, 1) / yarn_get_mscale(40, 1));
  CHECK(c.positions.score_factor == doctest::Approx(yarn_get_mscale(40, 1) * yarn_get_mscale(40, 1)).epsilon(1e-14));
  CHECK(c.positions.score_factor == doctest::Approx(1.8738).epsilon(1e-4));
}

TEST_CASE("YaRN with other magnitudes, as the files of other models have them") {
  const auto two =
      read(replaced(hub, "\"mscale\": 1.0, \"mscale_all_dim\": 1.0", "\"mscale\": 0.707, \"mscale_all_dim\": 0.5"));
  CHECK(rotary_magnitude(two.positions.options) ==
        doctest::Approx(yarn_get_mscale(40, 0.707) / yarn_get_mscale(40, 0.5)).epsilon(1e-14));
  CHECK(two.positions.score_factor == doctest::Approx(std::pow(yarn_get_mscale(40, 0.5), 2)).epsilon(1e-14));
  const auto none = read(replaced(hub, "\"mscale\": 1.0, \"mscale_all_dim\": 1.0,", ""));
  CHECK(rotary_magnitude(none.positions.options) == doctest::Approx(yarn_get_mscale(40, 1)).epsilon(1e-14));
  CHECK(none.positions.score_factor == 1);
  for (const char* one : {"\"mscale\": 0.707", "\"mscale_all_dim\": 0.5"}) {  // one alone is as none for the positions
    const auto alone = read(replaced(hub, "\"mscale\": 1.0, \"mscale_all_dim\": 1.0", one));
    CHECK(rotary_magnitude(alone.positions.options) == doctest::Approx(yarn_get_mscale(40, 1)).epsilon(1e-14));
  }
  const auto given = read(replaced(hub, "\"mscale\": 1.0, \"mscale_all_dim\": 1.0", "\"attention_factor\": 1.25"));
  CHECK(rotary_magnitude(given.positions.options) == 1.25);
}

TEST_CASE("positions as they are, and stretched linearly") {
  const std::size_t at = hub.find("\"rope_scaling\""), end = hub.find('}', at) + 1;
  const std::string yarn = hub.substr(at, end - at);
  const auto plain = read(replaced(hub, yarn, "\"rope_scaling\": null"));
  CHECK(plain.positions.options.scaling == RotaryScaling::none);
  CHECK(plain.positions.score_factor == 1);
  const auto linear = read(replaced(hub, yarn, R"("rope_scaling": {"type": "linear", "factor": 4.0})"));
  CHECK(linear.positions.options.scaling == RotaryScaling::linear);
  CHECK(linear.positions.options.factor == 4);
}

TEST_CASE("what this model is not is refused, by field and line") {
  const auto refused = [](const char* from, const char* to) {
    return error_of([&] { (void)read(replaced(hub, from, to)); });
  };
  CHECK(contains(refused("noaux_tc", "greedy"), "\"topk_method\" is \"greedy\", this model knows only \"noaux_tc\""));
  CHECK(contains(refused("sigmoid", "softmax"), "\"scoring_func\" is \"softmax\""));
  CHECK(contains(refused("\"yarn\"", "\"dynamic\""), "\"rope_type\" is \"dynamic\""));
  CHECK(
      contains(refused("\"num_key_value_heads\": 128", "\"num_key_value_heads\": 8"), "\"num_key_value_heads\" is 8"));
  CHECK(contains(refused("\"q_lora_rank\": 1536", "\"q_lora_rank\": null"), "\"q_lora_rank\" is null"));
  CHECK(contains(refused("\"attention_bias\": false", "\"attention_bias\": true"), "\"attention_bias\" is true"));
  CHECK(contains(refused("\"kv_lora_rank\": 512,", ""), "\"kv_lora_rank\" is missing"));
  const auto plain = [](const std::string& json) {
    hf::DeepseekV3::Config c;
    c.query_rank = 0;
    return read(json, c);
  };
  CHECK(plain(replaced(hub, "\"q_lora_rank\": 1536", "\"q_lora_rank\": null")).query_rank == 0);
  CHECK(contains(error_of([&] { (void)plain(hub); }), "\"q_lora_rank\" is 1536; the model's type says 0"));
}

TEST_CASE("the published model as a type: 671 billion parameters, 37 of them a token, and 576 cached numbers a layer") {
  const auto c = read(hub, Published::value);
  using M = hf::MeshOf<1, 1, 1>;
  hf::DeepseekV3::Types<Published, M, Dry>::Model model;
  hf::DeepseekV3::set(model, c);
  index_t all = 0, used = 0;
  model.parameters([&](const nn::Scope& scope, const auto& w) {
    const index_t size = w.extents().size();
    all += size;
    if (contains(scope.text(), "/experts/")) used += size / c.experts * c.chosen;
    else if (!contains(scope.text(), "embed/")) used += size;
  });
  CHECK(all == 671'026'419'200);
  CHECK((used + 500'000'000) / 1'000'000'000 == 37);  // arXiv 2412.19437, abstract
  Dry dev;
  (void)model.init_memory(dev, 1, 1000);
  CHECK(dev.cost.cache_bytes == 1000 * 61 * 576 * static_cast<index_t>(sizeof(f32)));
}
