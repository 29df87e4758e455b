// config.json: the shipped and the golden ones are read, and every damaged one is one clear error.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "grok1/config_json.hpp"

using namespace grok1;
namespace fs = std::filesystem;

namespace {

const fs::path data = TESS_TEST_DATA;

/// A file that is removed at the end of the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view text)
      : path_(fs::temp_directory_path() /
              ("tess_config_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".json")) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { fs::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const std::string good = R"({
  "vocab_size": 512, "pad_token": 0, "eos_token": 2, "sequence_len": 48,
  "embedding_multiplier_scale": 78.38367176906169, "output_multiplier_scale": 0.5773502691896257,
  "emb_size": 32, "widening_factor": 8, "key_size": 16, "num_q_heads": 16, "num_kv_heads": 8, "num_layers": 12,
  "attn_output_multiplier": 0.25, "num_experts": 8, "num_selected_experts": 2, "unknown fields": ["are", "ignored"]
})";

/// `good` with one piece of its text replaced.
std::string with(std::string_view piece, std::string_view other) {
  std::string text = good;
  const auto at = text.find(piece);
  REQUIRE(at != std::string::npos);
  return text.replace(at, piece.size(), other);
}

}  // namespace

TEST_CASE("config.json of the tiny model: flat, with its files beside it, equal to the constant") {
  const auto tiny_json = fs::path(GROK1_DIRECTORY) / "tiny" / "config.json";
  const auto file = read_config(tiny_json);
  CHECK(differences(tiny, file.config).empty());
  CHECK(file.config.model.explicit_ffn_size == dyn);
  CHECK(file.config.model.widening_factor == 3);
  CHECK(file.checkpoint == tiny_json.parent_path() / "ckpt-0");
  CHECK(file.tokenizer == tiny_json.parent_path() / "tokenizer.model");
}

TEST_CASE("config.json of the goldens: inside \"config\"") {
  const auto moe12 = read_config(data / "grok/moe12/config.json");
  CHECK(moe12.config.model.num_layers == 12);
  CHECK(moe12.config.model.ffn_size() == 176);
  CHECK(moe12.config.model.attn_output_multiplier == 0.25);
  CHECK(moe12.config.model.vocab_size == 512);
  CHECK(moe12.config.scale_groups == 8);
  CHECK(moe12.checkpoint.empty());
  CHECK(read_config(data / "grok/moe2/config.json").config.model.attn_output_multiplier == 0.1767766952966369);
  CHECK_FALSE(read_config(data / "grok/dense/config.json").config.model.is_moe());
  CHECK(read_config(data / "grok/dense_f32_2x4/config.json").config.scale_groups == 4);
}

TEST_CASE("config.json: the control is good, so each of the following errors has its own cause") {
  const TemporaryFile file(good);
  const auto read = read_config(file.path());
  CHECK(read.config.model.emb_size == 32);
  CHECK(read.config.model.max_attn_value == 30);
  CHECK(read.config.model.rms_norm_eps == 1e-5);
  const TemporaryFile explicit_ffn(with("\"widening_factor\": 8", "\"ffn_size\": 200"));
  CHECK(read_config(explicit_ffn.path()).config.model.ffn_size() == 200);
}

TEST_CASE("config.json: one error a fault, with the file and the field") {
  struct Case {
    const char* piece;
    const char* other;
    std::vector<const char*> says;
  };
  const std::vector<Case> cases = {
      {"\"emb_size\": 32, ", "", {"emb_size", "missing"}},
      {"\"widening_factor\": 8, ", "", {"widening_factor", "missing"}},
      {"\"attn_output_multiplier\": 0.25, ", "", {"attn_output_multiplier", "missing"}},
      {"\"eos_token\": 2, ", "", {"eos_token", "missing"}},
      {"\"emb_size\": 32", "\"emb_size\": \"32\"", {"emb_size", "expected an integer, found a string"}},
      {"\"emb_size\": 32", "\"emb_size\": 32.5", {"emb_size", "expected an integer, found a number"}},
      {"\"emb_size\": 32", "\"emb_size\": 0", {"\"emb_size\" is 0, but must be from 1 to 1048576"}},
      {"\"emb_size\": 32", "\"emb_size\": -1", {"\"emb_size\" is -1, but must be from 1"}},
      {"\"emb_size\": 32", "\"emb_size\": 9000000000000000000", {"emb_size", "must be from 1"}},
      {"\"num_layers\": 12", "\"num_layers\": 0", {"\"num_layers\" is 0"}},
      {"\"num_layers\": 12", "\"num_layers\": 100000", {"\"num_layers\" is 100000"}},
      {"\"vocab_size\": 512", "\"vocab_size\": 100000000", {"\"vocab_size\" is 100000000"}},
      {"\"vocab_size\": 512", "\"vocab_size\": 2", {"\"eos_token\" is 2, but must be a token: from 0 to 1"}},
      {"\"pad_token\": 0", "\"pad_token\": -1", {"\"pad_token\" is -1"}},
      {"\"key_size\": 16", "\"key_size\": 15", {"\"key_size\" is 15, but must be even"}},
      {"\"num_q_heads\": 16", "\"num_q_heads\": 12", {"\"num_q_heads\" is 12, but must be a multiple of", "8"}},
      {"\"num_selected_experts\": 2", "\"num_selected_experts\": 9", {"\"num_selected_experts\" is 9", "1 to 8"}},
      {"\"num_selected_experts\": 2", "\"num_selected_experts\": 0", {"\"num_selected_experts\" is 0", "1 to 8"}},
      {"\"num_experts\": 8", "\"num_experts\": -2", {"\"num_experts\" is -2"}},
      {"\"num_experts\": 8", "\"num_experts\": 99999", {"\"num_experts\" is 99999"}},
      {"\"widening_factor\": 8", "\"widening_factor\": -8", {"\"widening_factor\" is -8"}},
      {"\"widening_factor\": 8",
       "\"widening_factor\": 8, \"ffn_size\": 168",
       {"\"ffn_size\" is 168", "\"widening_factor\" makes it 176"}},
      {"\"attn_output_multiplier\": 0.25", "\"attn_output_multiplier\": 0", {"attn_output_multiplier", "positive"}},
      {"\"eos_token\": 2",
       "\"eos_token\": 2, \"scale_groups\": 7",
       {"\"scale_groups\" is 7, but must divide ffn_size, 176"}},
      {"\"eos_token\": 2", "\"eos_token\": 2, \"model_size\": 64", {"\"model_size\" is 64", "emb_size"}},
      {"\"eos_token\": 2", "\"eos_token\": 2, \"checkpoint\": 5", {"checkpoint", "expected a string"}},
      {"\"eos_token\": 2", "\"eos_token\": 2 2", {}},  // not JSON
      {"}", "", {}},                                   // cut off
  };
  for (const auto& c : cases) {
    CAPTURE(c.other);
    const TemporaryFile file(with(c.piece, c.other));
    std::string message = "no error";
    try {
      (void)read_config(file.path());
    } catch (const tess::Error& e) {
      message = e.what();
    }
    CHECK_MESSAGE(message.find(file.path().filename().string()) != std::string::npos, message);
    for (const char* text : c.says) CHECK_MESSAGE(message.find(text) != std::string::npos, message);
  }
  CHECK_THROWS_AS((void)read_config("/no/such/config.json"), tess::Error);
  CHECK_THROWS_AS((void)read_config(fs::temp_directory_path()), tess::Error);
}

TEST_CASE("config.json: sizes that are possible one by one, but not together") {
  auto config = grok_1;
  config.model.num_layers = 1 << 14;
  config.model.num_experts = 1 << 14;
  CHECK_THROWS_WITH_AS(validate(config, "x.json"), doctest::Contains("x.json: the sizes amount to"), tess::Error);
  validate(grok_1, "grok_1");
  validate(tiny, "tiny");
  validate(medium, "medium");
}

TEST_CASE("differences: each field that is not as the program was built, open sizes agree with all") {
  auto found = grok_1;
  CHECK(differences(grok_1, found).empty());
  found.model.num_layers = 63;
  found.model.rms_norm_eps = 1e-6;
  found.model.widening_factor = 4;
  CHECK(differences(grok_1, found) == std::vector<std::string>{"num_layers: expected 64, found 63",
                                                               "rms_norm_eps: expected 1e-05, found 1e-06",
                                                               "ffn_size: expected 32768, found 16384"});
  auto open = grok_1;
  open.model.num_layers = open.sequence_len = dyn;
  found = grok_1;
  found.model.num_layers = 3;
  found.sequence_len = 7;
  CHECK(differences(open, found).empty());

  auto dense = grok_1;
  dense.model.num_experts = -1;
  CHECK(differences(grok_1, dense) == std::vector<std::string>{"num_experts: expected 8, found -1"});
  CHECK(differences(dense, grok_1) == std::vector<std::string>{"num_experts: expected -1, found 8"});
  auto one_expert = dense;
  one_expert.model.num_experts = 1;
  one_expert.model.num_selected_experts = 1;
  CHECK(differences(dense, one_expert).empty());
}
