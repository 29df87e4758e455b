// A stranger's model of the Grok-1 family: own sizes, a checkpoint of them, the most probable next token.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <grok1/load.hpp>
#include <string>
#include <tess/generate/runner.hpp>
#include <vector>

void write_checkpoint(const std::filesystem::path& folder, const grok1::LanguageModelConfig& config);

namespace {

// clang-format off
constexpr int before = __LINE__ + 1;
// [quote:program]
struct Mine {
  static constexpr grok1::LanguageModelConfig value{
      .model = {.emb_size = 48, .key_size = 12, .num_q_heads = 6, .num_kv_heads = 2, .num_layers = 3, .vocab_size = 88,
                .widening_factor = 3.5, .attn_output_multiplier = 0.29, .num_experts = 5, .num_selected_experts = 3},
      .vocab_size = 88, .sequence_len = 40, .embedding_multiplier_scale = 6.9, .scale_groups = 4};
};
template <class Grid>
tess::i32 next_token(const std::filesystem::path& checkpoint, const std::vector<tess::i32>& prompt) {
  tess::Host dev;
  grok1::LanguageModel<Mine, Grid, tess::Host> model;
  grok1::load_checkpoint(dev, model, checkpoint);
  const tess::generate::Request request{.prompt = prompt, .max_tokens = 1, .settings = {.temperature = 0}};
  return tess::generate::Runner(dev, model, 1, Mine::value.sequence_len).generate({&request, 1})[0].tokens.at(0);
}
// [/quote]
constexpr int after = __LINE__ - 1;
// clang-format on
static_assert(after - before - 1 <= 15, "a model of one's own sizes takes at most 15 lines");

}  // namespace

int main() {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("tess-own-model-" + std::to_string(getpid()));
  write_checkpoint(folder, Mine::value);
  const std::vector<tess::i32> prompt = {7, 77, 3, 21, 60};
  using tess::Axis, tess::Mesh, grok1::data, grok1::model;
  using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
  const tess::i32 one = next_token<One>(folder, prompt), other = next_token<One>(folder, {8, 1, 2});
  const tess::i32 grid = next_token<Mesh<Axis<data, 2>, Axis<model, 2>>>(folder, prompt);
  std::printf("the next token is %d; on 2 x 2 devices %d; after another prompt %d\n", one, grid, other);
  std::filesystem::remove_all(folder);
  return one == grid && one != other && one >= 0 && one < 88 ? 0 : 1;
}
