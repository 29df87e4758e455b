// gpt-oss-20b and -120b by their config.json: the paper's numbers of parameters, and what windows save of the caches.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/dry.hpp>
#include <tess/io/declare.hpp>

#include "gpt_oss/gpt_oss.hpp"
#include "support/files.hpp"

using namespace tess::test;
using namespace tess;

namespace {

struct Open {
  static constexpr hf::GptOss::Config value{};
};
template <class M>
using Model = typename hf::GptOss::Types<Open, M, Dry, bf16>::Model;

/// The file on the hub, but for its weights' quantisation (MXFP4).
std::string on_the_hub(index_t layers, index_t experts) {
  std::string types;
  for (index_t i = 0; i < layers; ++i)
    types += std::string(i ? ", " : "") + (i % 2 ? "\"full_attention\"" : "\"sliding_attention\"");
  return R"({"architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
    "eos_token_id": 200002, "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
    "initial_context_length": 4096, "initializer_range": 0.02, "intermediate_size": 2880, "layer_types": [)" +
         types + R"(], "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": 64,
    "num_experts_per_tok": 4, "num_hidden_layers": )" +
         std::to_string(layers) + R"(, "num_key_value_heads": 8, "num_local_experts": )" + std::to_string(experts) +
         R"(,
    "output_router_logits": false, "pad_token_id": 199999, "rms_norm_eps": 1e-05,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                     "rope_type": "yarn", "truncate": false},
    "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128, "swiglu_limit": 7.0,
    "tie_word_embeddings": false, "transformers_version": "4.55.0.dev0", "use_cache": true, "vocab_size": 201088})";
}

hf::GptOss::Config read(const std::string& json) {
  const TemporaryFolder folder;
  write_file(folder / "config.json", json);
  io::ConfigFields fields(folder / "config.json");
  hf::GptOss::Config c;
  c.read(fields);
  fields.check();
  return c;
}
template <class M>
Model<M> model(const hf::GptOss::Config& c) {
  Model<M> m;
  hf::GptOss::set(m, c);
  io::declare_parameters(m, hf::GptOss::names(c));
  return m;
}
template <class M>
index_t parameters(Model<M> m) {
  index_t n = 0;
  m.parameters([&](const auto&, const auto& x) { n += x.extents().size(); });
  return n;
}

using Lone = hf::MeshOf<1, 1, 1>;

}  // namespace

TEST_CASE("the hub's spelling of the sizes: 20.91 and 116.83 billion parameters") {
  CHECK(parameters<Lone>(model<Lone>(read(on_the_hub(24, 32)))) / 10'000'000 == 2091);
  CHECK(parameters<Lone>(model<Lone>(read(on_the_hub(36, 128)))) / 10'000'000 == 11682);
}

TEST_CASE("a decode step reads 128 positions in every other layer, all in the others") {
  const auto c = read(on_the_hub(24, 32));
  const auto cached = [&](index_t context) {
    Dry dev;
    const auto m = model<Lone>(c);
    auto memory = m.init_memory(dev, 1, 8192);
    const Segment row[] = {{0, context - 1, 1}};
    (void)m(dev, make<Model<Lone>::Tokens>(dev, Extents<Shape<dyn, dyn>>{1, 1}), memory, row);
    index_t bytes = 0;
    for (const WorkLine& line : dev.cost.work)
      if (line.verb == "attention") bytes += line.cache_bytes;
    return bytes;
  };
  const index_t position = 2 * 8 * 64 * 4;  // keys and values of eight heads, in f32
  CHECK(cached(100) == 24 * 100 * position);
  CHECK(cached(8192) == 12 * (128 + 8192) * position);
}

TEST_CASE("what the file says of positions and windows") {
  const auto c = read(on_the_hub(24, 32));
  const RotaryOptions& o = c.positions.options;
  CHECK((o.scaling == RotaryScaling::yarn && o.factor == 32 && o.original_positions == 4096 && !o.truncate));
  CHECK(rotary_magnitude(o) == doctest::Approx(0.1 * std::log(32.0) + 1));
  CHECK((c.rope_base == 150000 && c.positions.score_factor == 1 && c.alpha == 1.702 && c.limit == 7));
  CHECK((c.window.of(0) == 128 && c.window.of(1) == 0 && c.window.of(22) == 128 && c.window.of(23) == 0));
  hf::SlidingWindow alternates;
  alternates.size = 5;
  CHECK((alternates.of(0) == 5 && alternates.of(1) == 0 && alternates.of(2) == 5));
}

TEST_CASE("files that are not a GPT-OSS of this form are refused, and why is said") {
  const std::string good = on_the_hub(2, 32);
  const auto refusal = [&](const std::string& from, const std::string& to) {
    try {
      read(replaced(good, from, to));
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(refusal("2880", "2880") == "none");
  CHECK(contains(refusal("\"sliding_attention\", ", ""), "\"layer_types\" has 1 of 2 layers."));
  CHECK(contains(refusal("\"sliding_attention\"", "\"chunked_attention\""),
                 "\"layer_types\" has chunked_attention, known are full_attention and sliding_attention."));
  CHECK(contains(refusal("\"attention_bias\": true", "\"attention_bias\": false"), "\"attention_bias\" is false"));
  CHECK(contains(refusal("\"experts_per_token\": 4", "\"experts_per_token\": 2"), "num_experts_per_tok"));
  CHECK(contains(refusal("\"swiglu_limit\"", "\"swiglu_bound\""), "\"swiglu_bound\" is unknown to this model"));
  CHECK(contains(refusal("\"yarn\"", "\"longrope\""), "\"rope_type\" is \"longrope\""));
  CHECK(contains(refusal("\"use_cache\": true", "\"quantization_config\": {\"quant_method\": \"mxfp4\"}"),
                 "\"quantization_config.quant_method\" is \"mxfp4\""));
}
