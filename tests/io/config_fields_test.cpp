// config.json against a model's type: open numbers are set, others must agree, and nothing unknown passes.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/config_fields.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/files.hpp"
#include "tess/tensor/dtype.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

struct Config {
  index_t hidden = dyn, heads = dyn, width = dyn, experts = dyn;
  f64 eps = 0, theta = 0, factor = 0;
  std::optional<bool> normalize;
  bool bias = false;
  std::vector<index_t> dense;
};

/// As a model reads its file.
ConfigFields read(Config& c, const std::string& json) {
  ConfigFields f(Json::parse(json, "config.json"), "config.json");
  f.is("hidden_act", "silu"), f.is("tie_word_embeddings", false);
  f("hidden_size", c.hidden), f("num_attention_heads", c.heads), f("head_dim", c.width, 16);
  f({"num_experts", "num_local_experts"}, c.experts);
  f("rms_norm_eps", c.eps), f("rope_parameters.rope_theta", c.theta), f("rope_parameters.factor", c.factor, 1);
  f.is("rope_parameters.rope_type", "default");
  f("norm_topk_prob", c.normalize, true), f("attention_bias", c.bias, false);
  f("mlp_only_layers", c.dense, std::vector<index_t>{});
  return f;
}
std::string refusal(const std::string& json, Config c = {}) {
  return error_of([&] { read(c, json).check(); });
}

/// The newer and the older spelling of one model, with what the hub's files have besides.
const std::string now = R"({
  "architectures": ["SomeForCausalLM"], "attention_dropout": 0.0, "dtype": "bfloat16", "hidden_act": "silu",
  "hidden_size": 64, "initializer_range": 0.02, "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_local_experts": 8, "output_router_logits": false, "pad_token_id": null,
  "rms_norm_eps": 1e-05,
  "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
  "tie_word_embeddings": false, "transformers_version": "5.23.0", "use_cache": true
})";
const std::string before = R"({
  "architectures": ["SomeForCausalLM"], "torch_dtype": "bfloat16", "hidden_act": "silu", "hidden_size": 64,
  "num_attention_heads": 4, "num_experts": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000, "rope_scaling": null
})";

}  // namespace

TEST_CASE("both spellings of a file give the same configuration") {
  for (const std::string& json : {now, before}) {
    CAPTURE(json);
    Config c;
    ConfigFields f = read(c, json);
    f.check();
    CHECK(c.hidden == 64);
    CHECK(c.heads == 4);
    CHECK(c.width == 16);  // not in the file
    CHECK(c.experts == 8);
    CHECK(c.eps == 1e-5);
    CHECK(c.theta == 1e6);
    CHECK(c.factor == 1);
    CHECK(c.normalize == true);
    CHECK(f.dtype() == "bfloat16");
  }
}

TEST_CASE("the older rope_scaling is read as rope_parameters") {
  Config c;
  ConfigFields f(Json::parse(R"({"rope_theta": 5, "rope_scaling": {"type": "yarn", "factor": 40, "beta": 1}})", "c"),
                 "c");
  f("rope_parameters.rope_theta", c.theta), f("rope_parameters.factor", c.factor);
  f.is("rope_parameters.rope_type", "yarn");
  CHECK(c.theta == 5);
  CHECK(c.factor == 40);
  CHECK(error_of([&] { f.check(); }) ==
        R"(c, line 1: the field "rope_scaling.beta" is unknown to this model, and could change its numbers.)");
}

TEST_CASE("a number of the type's own must be the file's: one error with both values") {
  Config c;
  c.hidden = 96, c.eps = 1e-6, c.bias = true;
  const std::string message = refusal(now, c);
  CHECK(contains(message, R"(config.json, line 3: "hidden_size" is 64; the model's type says 96.)"));
  CHECK(contains(message, R"("rms_norm_eps" is 1e-05; the model's type says 1e-06.)"));
  CHECK(
      contains(message, R"(config.json: "attention_bias" is absent, which means false; the model's type says true.)"));
  c = {};
  c.hidden = 64, c.eps = 1e-5, c.normalize = true;
  CHECK(refusal(now, c) == "");
  c.width = 32;
  CHECK(refusal(now, c) == R"(config.json: "head_dim" is absent, which means 16; the model's type says 32.)");
}

TEST_CASE("a field that is missing, of another kind, or another value than the model can have") {
  const auto with = [](std::string_view from, std::string_view to) { return refusal(replaced(now, from, to)); };
  CHECK(with(R"("hidden_size": 64,)", "") == R"(config.json: the field "hidden_size" is missing.)");
  CHECK(with(R"("hidden_size": 64,)", R"("hidden_size": null,)") ==
        R"(config.json: the field "hidden_size" is missing.)");
  CHECK(with("64", "\"64\"") ==
        R"(config.json, line 3: expected an integer, found a string. This is the field "hidden_size".)");
  CHECK(with("64", "64.5") ==
        R"(config.json, line 3: expected an integer, found a number. This is the field "hidden_size".)");
  CHECK(contains(with("64", "-64"), "expected a number from 0 to 16777216, found -64"));
  CHECK(contains(with("64", "0"), "expected a number from 1 to 16777216, found 0"));
  CHECK(contains(with("64", "9999999999"), "expected a number from 0 to 16777216, found 9999999999"));
  CHECK(with("silu", "gelu") == R"(config.json, line 2: "hidden_act" is "gelu", this model knows only "silu".)");
  CHECK(with(R"(embeddings": false)", R"(embeddings": true)") ==
        R"(config.json, line 7: "tie_word_embeddings" is true, this model knows only false.)");
  CHECK(contains(with(R"("default")", R"("yarn")"), R"("rope_parameters.rope_type" is "yarn", this model knows only)"));
  CHECK(contains(with(R"({"rope_theta")", R"(7, "x": {"rope_theta")"),
                 R"(the field "rope_parameters.rope_theta" is missing)"));
}

TEST_CASE("what could change a number and nobody asked for is refused, also inside objects") {
  const auto with = [](const std::string& more) { return refusal(replaced(now, "{\n", "{\n" + more + ",\n")); };
  CHECK(with(R"("logit_softcap": 30.0)") ==
        R"(config.json, line 2: the field "logit_softcap" is unknown to this model, and could change its numbers.)");
  CHECK(contains(with(R"("vision_config": {"depth": 2})"), R"(the field "vision_config.depth" is unknown)"));
  CHECK(with(R"("logit_softcap": null, "vision_config": {})") == "");  // null is absent
  CHECK(with(R"("bos_token_id": 1, "router_aux_loss_coef": 0.1)") == "");
  for (const HarmlessField& field : harmless_fields) CHECK_FALSE(field.why.empty());
  std::string many = R"("a0": 0)";
  for (int i = 1; i < 1000; ++i) many += ", \"a" + std::to_string(i) + "\": 0";
  CHECK(contains(with(many), "… and 960 more."));
}

TEST_CASE("another model's file is refused as such, without a line for each of its fields") {
  ConfigFields f(Json::parse(R"({"model_type": "llama", "a": 1, "b": 2})", "config.json"), "config.json");
  index_t missing = dyn;
  f("hidden_size", missing);
  f.is("model_type", "mixtral");
  CHECK(error_of([&] { f.check(); }) ==
        R"(config.json, line 1: "model_type" is "llama", this model knows only "mixtral".)");
}

TEST_CASE("a model may know for itself that a field is harmless, and add lines of its own") {
  Config c;
  ConfigFields f = read(c, replaced(now, "{\n", "{\n\"max_window_layers\": 28, \"layer_types\": [\"a\", \"b\"],\n"));
  f.harmless("max_window_layers", "counts only with use_sliding_window");
  CHECK(f.strings("layer_types") == std::vector<std::string>{"a", "b"});
  CHECK(f.integers("mlp_only_layers").empty());
  f.check();
  f.problem("heads do not divide");
  CHECK(error_of([&] { f.check(); }) == "heads do not divide");
  f.check();  // each problem is told once
}

TEST_CASE("two spellings in one file must agree") {
  CHECK(refusal(replaced(now, "\"hidden_size\"", "\"num_experts\": 8, \"hidden_size\"")) == "");
  CHECK(contains(refusal(replaced(now, "\"hidden_size\"", "\"num_experts\": 4, \"hidden_size\"")),
                 R"("num_experts" is 8, but 4 on config.json, line 3.)"));
}

TEST_CASE("weights in 8 bits with scales a block are known; other quantisations are refused by name") {
  const auto with = [](const std::string& quantization) {
    return refusal(replaced(now, "{\n", "{\n\"quantization_config\": " + quantization + ",\n"));
  };
  CHECK(
      with(
          R"({"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]})") ==
      "");
  CHECK(with(R"({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]})") ==
        R"(config.json, line 2: "quantization_config.quant_method" is "mxfp4", this model knows only "fp8".)");
  CHECK(contains(with(R"({"quant_method": "fp8", "weight_block_size": [64, 64]})"),
                 R"("quantization_config.weight_block_size" is [64, 64], this model knows only [128, 128])"));
  CHECK(contains(with(R"({"quant_method": "fp8"})"), R"("quantization_config.weight_block_size" is missing)"));
  CHECK(contains(with(R"({"bits": 4})"), R"("quantization_config" names no "quant_method")"));
  CHECK(contains(with(R"({"quant_method": "fp8", "weight_block_size": [128, 128], "lattice": 3})"),
                 R"(the field "quantization_config.lattice" is unknown)"));
}

TEST_CASE("a file that is no object is refused before anything is asked") {
  CHECK(contains(error_of([] { ConfigFields(Json::parse("[1]", "c"), "c"); }), "c, line 1: expected an object"));
  CHECK(
      contains(error_of([] { ConfigFields(std::filesystem::path("/nowhere/config.json")); }), "/nowhere/config.json"));
}
