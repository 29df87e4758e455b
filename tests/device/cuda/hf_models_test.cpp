// Models of the Hugging Face hub on GPUs, ranks simulated on one: the logits and tokens of transformers.
// SPDX-License-Identifier: Apache-2.0
#include <tess/cuda.hpp>

#include "deepseek_v3/deepseek_v3.hpp"
#include "gpt_oss/gpt_oss.hpp"
#include "mixtral/mixtral.hpp"
#include "support/hf_checks.hpp"

using namespace tess::test;
using tess::index_t;

namespace {

/// Logits of every token, and the tokens that follow a prompt, of a model whose config.json says all sizes.
template <class Family, index_t Data, index_t Expert, index_t Model>
void check_on_gpu(const std::string& name) {
  const HfGolden golden(name);
  HfModel<Family, Open<Family>, hf::MeshOf<Data, Expert, Model>, tess::f32, tess::Cuda> lm(name);
  check_logits(lm.all_logits(golden.tokens, golden.batch), golden.logits, golden);
  constexpr std::size_t few = 8;
  CHECK(lm.greedy(golden.prompt, few) == std::vector(golden.continuation.begin(), golden.continuation.begin() + few));
}

}  // namespace

TEST_CASE("mixtral: experts on two ranks, each over two more") { check_on_gpu<hf::Mixtral, 1, 2, 2>("mixtral"); }
TEST_CASE("deepseek_v3: latent attention, groups of experts, shared ones") {
  check_on_gpu<hf::DeepseekV3, 1, 1, 2>("deepseek_v3");
}
TEST_CASE("gpt_oss: sinks, windows, biases of experts") { check_on_gpu<hf::GptOss, 1, 1, 2>("gpt_oss"); }
