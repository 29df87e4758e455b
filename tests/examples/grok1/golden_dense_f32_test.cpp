// dense_f32_2x4: plain f32 weights on a mesh of 2 x 4, the one model that the reference runs with its data axis sharded.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "support/golden_decode.hpp"

using namespace tess::test;

namespace {

/// The file has the truth of the logits alone; of the layers it has what the reference computed, and how far that is from the truth.
template <class Cache>
void check_layers(const std::string& what, double layers, double logits) {
  using C = Variant<DenseF32, tess::nn::SoftmaxTopK<>, Cache>;
  const std::string folder = "dense_f32_2x4";
  const Golden golden(folder);
  Loaded<C, 2, 4> grok(grok_folder(folder));
  ErrorTable table(folder + ", mesh 2x4, " + what + " (layers: distance from the reference, and its own from the truth)");
  auto memory = grok.model.init_memory(grok.dev, golden.batch, golden.length);
  const Values ours = grok.trace(golden.tokens, memory, segments(golden.lengths), [&](const std::string& stage, const Values& values) {
    if (!golden.has("forward/stage/" + stage)) return;
    const std::string layer = stage.substr(stage.rfind('_'));
    const double distance = golden.error(values, golden["forward/stage/" + stage]);
    CHECK_MESSAGE(table.add(stage, distance, reference_error(folder, "layer" + layer)) <= layers, stage);
  });
  const Values exact = golden["truth/logits"];
  CHECK(table.add("logits", golden.error(ours, exact), golden.error(golden["forward/logits"], exact)) <= logits);
}

}  // namespace

TEST_CASE("dense_f32_2x4: where nothing is rounded, we are as far from the reference as it is from the truth") {
  check_layers<tess::f32>("f32 cache", 1.02, 0.65);
}
TEST_CASE("dense_f32_2x4: with the bf16 cache, the logits are as near to the truth as the reference's") {
  check_layers<tess::bf16>("bf16 cache", 1.42, 1.05);
}
