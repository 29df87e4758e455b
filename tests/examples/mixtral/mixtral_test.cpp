// Mixtral on one device against transformers: logits, hidden states, routes, greedy tokens; bf16; config.json.
// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tess::test;

TEST_CASE("mixtral: as transformers, layer by layer") { check_stages<hf::Mixtral, TinyMixtral>("mixtral"); }
TEST_CASE("mixtral: config.json decides, in both spellings") { check_config<hf::Mixtral, TinyMixtral>("mixtral"); }
TEST_CASE("mixtral: saved as it was published") { check_saved<hf::Mixtral, TinyMixtral, 1, 1, 1>("mixtral"); }
TEST_CASE("mixtral in bf16: no farther from float64 than transformers") {
  check_bf16<hf::Mixtral, TinyMixtral>("mixtral_bf16", "mixtral");
}
TEST_CASE("mixtral: what is wrong is seen") {
  const HfGolden golden("mixtral");
  const auto errors_with = [&](auto change) {  // in units of transformers' own error
    HfModel<hf::Mixtral, TinyMixtral, hf::MeshOf<1, 1, 1>> lm("mixtral");
    for (auto& layer : lm.model.layers.blocks) change(layer);
    return farthest(lm.all_logits(golden.tokens, golden.batch), golden.logits) / golden.largest_error;
  };
  CHECK(errors_with([](auto&) {}) <= 2);
  CHECK(errors_with([](auto& layer) { layer.attention_norm.eps *= 2; }) > 2);
  CHECK(errors_with([](auto& layer) { layer.attention.rotary.base = 1e4; }) > 100);
  CHECK(errors_with([](auto& layer) { layer.attention.options.scale *= 1.001f; }) > 2);
  CHECK(errors_with([](auto& layer) { layer.attention.options.window = 23; }) > 100);
  CHECK(errors_with([](auto& layer) { layer.feed_forward.router.selected = 3; }) > 100);
  CHECK(errors_with([](auto& layer) { std::swap(layer.feed_forward.experts.gate, layer.feed_forward.experts.up); }) >
        100);
}
