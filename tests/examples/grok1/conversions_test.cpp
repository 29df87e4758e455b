// Grok-1's conversions to safetensors, hpcai's and keyfan's: the numbers and the text of the official int8 checkpoint.
// SPDX-License-Identifier: Apache-2.0
#include "grok1/conversions.hpp"

#include <doctest/doctest.h>

#include <tess/generate/runner.hpp>
#include <tess/io/save_model.hpp>

#include "grok1/mesh_bill.hpp"
#include "support/grok1_conversions.hpp"
#include "support/grok1_model.hpp"

using namespace tess::test;
using tess::index_t, tess::i32;
namespace io = tess::io;
namespace fs = std::filesystem;

namespace {

using Bf16Mixture = grok1::RunTimeSizes<true, false>;
template <class C>
using Lone = grok1::LanguageModel<C, tess::Mesh<tess::Axis<grok1::data, 1>, tess::Axis<grok1::model, 1>>, tess::Host>;

const fs::path tiny = fs::path(TESS_SOURCE_DIR) / "examples/grok1/tiny";

/// The tiny model as a conversion, written once.
struct Converted {
  TemporaryFolder folder;
  Conversion tensors;

  explicit Converted(bool hpcai) : tensors(tiny, grok1::tiny, hpcai) { tensors.write(folder.path()); }
  static const Converted& in(bool hpcai) {
    static const Converted of_hpcai(true), of_keyfan(false);
    return hpcai ? of_hpcai : of_keyfan;
  }
};

template <class C>
struct Run {
  tess::Host dev{1};
  Lone<C> model;

  explicit Run(const fs::path& folder)
      : model(grok1::is_converted(folder) ? grok1::read_conversion_config(folder / "config.json") : grok1::tiny) {
    if constexpr (C::value.quantized) grok1::load_checkpoint(dev, model, folder);
    else grok1::load_conversion(dev, model, folder);
  }
  Values logits(const std::vector<i32>& ids) {
    auto memory = model.init_memory(dev, 1, static_cast<index_t>(ids.size()));
    const index_t length = static_cast<index_t>(ids.size());
    auto tokens = tess::make<tess::generate::Tokens<typename Lone<C>::mesh>>(
        dev, tess::Extents<tess::Shape<tess::dyn, tess::dyn>>{1, length});
    std::copy(ids.begin(), ids.end(), tokens.storage().data(0));
    const auto rows = segments(std::vector<index_t>{length});
    return whole(model.template operator()<grok1::Positions::all>(dev, tokens, memory, view(rows)));
  }
  std::vector<i32> greedy(const std::vector<i32>& prompt, index_t count) {
    tess::generate::Runner<Lone<C>> runner(dev, model, 1, 256);
    const tess::generate::Request r{.prompt = prompt, .max_tokens = count, .settings = {.temperature = 0}};
    return runner.generate({&r, 1})[0].tokens;
  }
};

/// The beginning of a text that the model knows.
const std::vector<i32> prompt = [] {
  auto ids = io::values_as<i32>(io::SafetensorsFile(grok_folder("tiny-grok.safetensors"))["tokens"]);
  ids.resize(16);
  return ids;
}();

std::string refusal(const fs::path& folder) {
  return error_of([&] { Run<Bf16Mixture> run(folder); });
}

}  // namespace

TEST_CASE("conversions: the logits of the int8 checkpoint within the rounding of weights, and its tokens") {
  Run<grok1::TinyConfig> official(tiny);
  const Values expected = official.logits(prompt);
  Values of_hpcai;
  for (const bool hpcai : {true, false}) {
    Run<Bf16Mixture> converted(Converted::in(hpcai).folder.path());
    const Values logits = converted.logits(prompt);
    const double error = relative_error(logits, expected);
    CHECK(error < 6e-3);  // weights and embeddings rounded to bf16, 2^-9 each, in four layers
    CHECK(error > 1e-5);
    CHECK(converted.greedy(prompt, 24) == official.greedy(prompt, 24));
    if (hpcai) of_hpcai = logits;
    else CHECK(logits == of_hpcai);  // the same tensors under other names
    std::printf("%s: logits %.1e from those of int8\n", hpcai ? "hpcai" : "keyfan", error);
  }
}

TEST_CASE("conversions: parts and their index, and the head that is the embedding again") {
  const TemporaryFolder folder;
  Conversion tensors(tiny, grok1::tiny, true);
  for (const auto& a : tensors.arrays())
    if (a.name == "model.embed_tokens.weight") {
      const auto values = io::values_as<float>(a.array);
      tensors.add("lm_head.weight", a.array.shape, {values.begin(), values.end()});
      break;
    }
  tensors.write_parts(folder.path());
  CHECK(grok1::is_converted(folder.path()));
  CHECK(Run<Bf16Mixture>(folder.path()).logits(prompt) ==
        Run<Bf16Mixture>(Converted::in(true).folder.path()).logits(prompt));

  auto other = io::values_as<float>(tensors.arrays().back().array);
  other[7] = 3;
  tensors.arrays().pop_back();
  tensors.add("lm_head.weight", {1024, 128}, {other.begin(), other.end()});
  tensors.write_parts(folder.path());
  CHECK(contains(refusal(folder.path()), "'lm_head.weight' differs from 'model.embed_tokens.weight'"));
}

TEST_CASE("conversions: one is saved as the other, bit for bit") {
  const TemporaryFolder folder;
  const Run<Bf16Mixture> run(Converted::in(true).folder.path());
  io::save_model(run.model, grok1::conversion_names(grok1::Conversion::keyfan, run.model.config),
                 folder / "model.safetensors");
  const io::SafetensorsFile saved(folder / "model.safetensors"),
      expected(Converted::in(false).folder / "model.safetensors");
  REQUIRE(saved.names() == expected.names());
  for (const auto& a : expected.arrays())
    CHECK_MESSAGE(io::values_as<float>(saved[a.name]) == io::values_as<float>(a.array), a.name);
}

TEST_CASE("conversions: sizes come from config.json, in either spelling of its fields") {
  for (const bool hpcai : {true, false}) {
    const fs::path file = Converted::in(hpcai).folder / "config.json";
    CHECK(grok1::is_conversion_config(file));
    const auto config = grok1::read_conversion_config(file);
    CHECK(grok1::differences(grok1::tiny, config).empty());
    CHECK_FALSE(config.quantized);
  }
  CHECK_FALSE(grok1::is_conversion_config(tiny / "config.json"));
  CHECK_FALSE(grok1::is_converted(tiny));
}

TEST_CASE("conversions: what does not fit is refused") {
  const TemporaryFolder folder;
  const auto config = read_file(Converted::in(true).folder / "config.json");
  const auto with_config = [&](const char* from, const char* to) {
    Conversion(tiny, grok1::tiny, true).write(folder.path());
    write_file(folder / "config.json", replaced(config, from, to));
    return refusal(folder.path());
  };
  CHECK(contains(with_config("\"num_experts\": 8", "\"num_experts\": 1"), "\"num_experts\" is 1, expected at least 2"));
  CHECK(contains(with_config("\"hidden_size\": 128", "\"hidden_size\": 96"), "should be"));
  CHECK(contains(with_config("\"torch_dtype\"", "\"attention_bias\": true, \"torch_dtype\""), "attention_bias"));
  CHECK(
      contains(with_config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"), "tie_word_embeddings"));

  Conversion of_none(tiny, grok1::tiny, true);
  for (auto& a : of_none.arrays()) a.name = "x" + a.name;
  of_none.write(folder.path());
  CHECK(contains(refusal(folder.path()), "nor 'transformer.in_out_embed.weight', as keyfan's"));

  Conversion missing(tiny, grok1::tiny, false);
  missing.arrays().erase(missing.arrays().begin() + 5);
  missing.write(folder.path());
  CHECK(contains(refusal(folder.path()), "1 tensor is missing"));
}
