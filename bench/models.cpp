// The custom models beside Grok-1: decoding and prefill as shares of what this machine can stream and multiply.
// SPDX-License-Identifier: Apache-2.0
//
//   bench_models [pairs = 30] [name of the one model to measure]
//
// Random weights of about 1 GB in bf16, two or three layers, one device, one sequence. Decoding is paired with a stream
// read of the bytes that a token reads, prefill of 512 tokens with a product [512, 2048] x [2048, 4096] of the same
// kernels; the median of the ratios means something, tokens/s of a shared machine little.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <tess/io/declare.hpp>
#include <tess/io/init_model.hpp>

#include "deepseek_v3/deepseek_v3.hpp"
#include "gpt_oss/gpt_oss.hpp"
#include "medium.hpp"
#include "mixtral/mixtral.hpp"
#include "qwen2_moe/qwen2_moe.hpp"
#include "qwen3_moe/qwen3_moe.hpp"

namespace {
using namespace tess;
using namespace tess::bench;

constexpr index_t prompt = 512, capacity = 4096, first_position = 128;

/// Fields that all of the configurations share, and then their own.
std::string config(const char* own) {
  return std::string(R"({"vocab_size": 32000, "hidden_size": 2048, "num_attention_heads": 16, "rms_norm_eps": 1e-5,
                         "rope_theta": 10000, "torch_dtype": "bfloat16", )") +
         own + "}";
}

const std::string mixtral = config(R"("model_type": "mixtral", "num_hidden_layers": 2, "num_key_value_heads": 4,
    "intermediate_size": 4096, "num_local_experts": 8, "num_experts_per_tok": 2)");
const std::string qwen2_moe = config(R"("model_type": "qwen2_moe", "num_hidden_layers": 3, "num_key_value_heads": 4,
    "intermediate_size": 4096, "moe_intermediate_size": 1024, "shared_expert_intermediate_size": 4096,
    "num_experts": 16, "num_experts_per_tok": 4)");
const std::string qwen3_moe = config(R"("model_type": "qwen3_moe", "num_hidden_layers": 3, "num_key_value_heads": 4,
    "head_dim": 128, "intermediate_size": 4096, "moe_intermediate_size": 768, "num_experts": 32,
    "num_experts_per_tok": 8, "norm_topk_prob": true, "mlp_only_layers": [1])");
const std::string deepseek_v3 = config(R"("model_type": "deepseek_v3", "num_hidden_layers": 3,
    "num_key_value_heads": 16, "intermediate_size": 4096, "moe_intermediate_size": 768, "first_k_dense_replace": 1,
    "n_shared_experts": 1, "n_routed_experts": 32, "num_experts_per_tok": 8, "n_group": 4, "topk_group": 2,
    "norm_topk_prob": true, "routed_scaling_factor": 2.5, "q_lora_rank": 768, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128)");
const std::string gpt_oss = config(R"("model_type": "gpt_oss", "num_hidden_layers": 3, "num_key_value_heads": 4,
    "head_dim": 128, "intermediate_size": 2048, "num_local_experts": 16, "num_experts_per_tok": 4,
    "sliding_window": 128)");

/// Bytes of parameters that a token reads: of the experts those that are chosen, of the embedding next to nothing.
template <class Model>
index_t bytes_per_token(Model& model, index_t chosen) {
  index_t bytes = 0;
  model.parameters([&](const nn::Scope& path, auto& x) {
    using T = typename std::remove_reference_t<decltype(x)>::value_type;
    if constexpr (is_packed<T>) {
      const auto& matrices = x.storage().matrices(0);
      const bool routed = path.text().find("experts/") != std::string_view::npos;
      const auto read = routed ? static_cast<std::size_t>(chosen) : matrices.size();
      for (std::size_t i = 0; i < read; ++i) bytes += matrices[i].bytes();
    } else if (!path.text().ends_with("embeddings")) {
      bytes += shard_bytes(x);
    }
  });
  return bytes;
}

template <class Family>
class HfModel {
  struct Open {
    static constexpr typename Family::Config value{};
  };
  using M = hf::MeshOf<1, 1, 1>;
  template <class D>
  using Model = typename Family::template Types<Open, M, D, bf16>::Model;

 public:
  HfModel(Host& dev, const std::string& text) {
    io::ConfigFields fields(io::Json::parse(text, "bench"), "bench");
    config_.read(fields);
    fields.check();
    Family::set(model_, config_);
    io::init_model(dev, model_, Family::names(config_), 1);
    memory_ = model_.init_memory(dev, 1, capacity);
  }

  double run(Host& dev, index_t start, index_t count) {
    const auto tokens = make<typename Model<Host>::Tokens>(dev, Extents<Shape<dyn, dyn>>{1, count});
    for (index_t i = 0; i < count; ++i)
      tokens.storage().data(0)[i] = static_cast<i32>((start + i) * 7919 % config_.vocabulary);
    const Segment rows[] = {{.slot = 0, .start = start, .count = count}};
    return seconds([&] { (void)model_(dev, tokens, memory_, rows); });
  }
  index_t bytes() { return bytes_per_token(model_, config_.chosen); }
  index_t flops(index_t count) const {
    Dry dev;
    Model<Dry> model;
    Family::set(model, config_);
    io::declare_parameters(model, Family::names(config_));
    auto memory = model.init_memory(dev, 1, capacity);
    const Segment rows[] = {{.slot = 0, .start = 0, .count = count}};
    (void)model(dev, make<typename Model<Dry>::Tokens>(dev, Extents<Shape<dyn, dyn>>{1, count}), memory, rows);
    return dev.cost.flops;
  }

 private:
  typename Family::Config config_{};
  Model<Host> model_;
  typename Model<Host>::Memory memory_;
};

/// Grok-1's blocks in the same sizes. Its embedding is its head.
struct Grok1Config {
  using weight_type = bf16;
  static constexpr grok1::LanguageModelConfig value = [] {
    grok1::LanguageModelConfig c = grok1::medium;
    c.quantized = false;
    c.vocab_size = c.model.vocab_size = 32000;
    c.model.num_layers = 2;
    c.sequence_len = capacity;
    return c;
  }();
};
struct Grok1 : grok1::bench::Medium<Grok1Config> {
  Grok1(Host& dev, const std::string&) : Medium(dev) {}
  index_t bytes() { return bytes_per_token(); }
};

/// The product that prefill is compared with, warm: floating-point operations a second.
class Product {
 public:
  explicit Product(Host& dev) : x_(prompt * K, 0.5f), y_(prompt * N) {
    const std::vector<bf16> source(static_cast<std::size_t>(K * N), bf16(0.01f));
    w_ = host::pack<bf16>(dev.pool(), host::Source<bf16>{reinterpret_cast<const std::byte*>(source.data()), N * 2}, K,
                          N);
  }
  double flops_per_second(Host& dev) {
    constexpr int times = 4;
    const double t = seconds([&] {
      for (int i = 0; i < times; ++i)
        host::matmul(dev.pool(), host::Problem<f32, host::Packed<bf16>, f32>{x_.data(), K, &w_, y_.data(), N, prompt},
                     dev.activations);
    });
    return 2.0 * times * static_cast<double>(prompt * K * N) / t;
  }

 private:
  static constexpr index_t K = 2048, N = 4096;
  std::vector<f32> x_, y_;
  host::Packed<bf16> w_;
};

template <class Model>
void measure(const char* name, const std::string& only, Host& dev, int pairs, const std::string& text = {}) {
  if (!only.empty() && only != name) return;
  Model model(dev, text);
  Product product(dev);
  const index_t bytes = model.bytes();
  host::Buffer buffer(bytes);
  std::memset(buffer.data(), 1, static_cast<std::size_t>(bytes));
  model.run(dev, 0, first_position);
  std::vector<double> tokens, shares;
  for (int i = 0; i < pairs; ++i) {
    const double read = seconds([&] { stream(dev.pool(), buffer.data(), bytes); });
    tokens.push_back(model.run(dev, first_position + i, 1));
    shares.push_back(read / tokens.back());
  }
  const double flops = static_cast<double>(model.flops(prompt));
  model.run(dev, 0, prompt);  // fills the buffers
  std::vector<double> passes, rates;
  for (int i = 0; i < std::max(3, pairs / 4); ++i) {
    const double best = product.flops_per_second(dev);
    passes.push_back(model.run(dev, 0, prompt));
    rates.push_back(flops / passes.back() / best);
  }
  std::printf(
      "%-12s %5.0f MB %7.1f tokens/s %4.0f %% (%.0f, %.0f)   %7.1f tokens/s %7.1f GFLOP/s %4.0f %% (%.0f, %.0f)\n",
      name, static_cast<double>(bytes) * 1e-6, 1 / median(tokens), 100 * median(shares), 100 * quantile(shares, 0.25),
      100 * quantile(shares, 0.75), static_cast<double>(prompt) / median(passes), flops * 1e-9 / median(passes),
      100 * median(rates), 100 * quantile(rates, 0.25), 100 * quantile(rates, 0.75));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int pairs = std::max(4, argc > 1 ? std::atoi(argv[1]) : 30);
  const std::string only = argc > 2 ? argv[2] : "";
  Host dev;
  std::printf("bf16 weights, one sequence, mesh 1x1x1, %s, %d threads, %d pairs\n", host::name(host::cpu()).c_str(),
              dev.pool().size(), pairs);
  std::printf("%-12s %-8s %s   %s\n", "", "a token", "decoding: share of a stream read (quartiles)",
              "prefill of 512: share of one large product");
  measure<Grok1>("grok1", only, dev, pairs);
  measure<HfModel<hf::Mixtral>>("mixtral", only, dev, pairs, mixtral);
  measure<HfModel<hf::Qwen2Moe>>("qwen2_moe", only, dev, pairs, qwen2_moe);
  measure<HfModel<hf::Qwen3Moe>>("qwen3_moe", only, dev, pairs, qwen3_moe);
  measure<HfModel<hf::DeepseekV3>>("deepseek_v3", only, dev, pairs, deepseek_v3);
  measure<HfModel<hf::GptOss>>("gpt_oss", only, dev, pairs, gpt_oss);
}
