// The programs of the custom models from outside: the goldens' continuations on each mesh, one error for bad input.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <tess/io/safetensors.hpp>

#include "support/files.hpp"

namespace fs = std::filesystem;
using namespace tess::test;

namespace {

const fs::path data = TESS_HF_DATA;

struct Outcome {
  int code = -1;
  std::string out, err;
};

Outcome run(const std::string& program, const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  std::string command = "'" TESS_PROGRAMS "/" + program + "'";
  for (const auto& a : arguments) command += " '" + a + "'";
  command += " >'" + (folder / "out").string() + "' 2>'" + (folder / "err").string() + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "out"), read_file(folder / "err")};
}

/// "63 191 200", the first `count` numbers of a tensor of the golden.
std::string ids(const std::string& golden, const char* tensor, std::size_t count) {
  const tess::io::SafetensorsFile file(data / golden / "golden.safetensors");
  std::string text;
  for (const int id : tess::io::values_as<int>(file[tensor]))
    if (count-- > 0) text += (text.empty() ? "" : " ") + std::to_string(id);
    else break;
  return text;
}

std::vector<std::string> continuing(const std::string& golden, const std::string& mesh) {
  return {"--checkpoint", data / golden, "--mesh",  mesh,  "--ids", ids(golden, "generate_prompt", 8),
          "--max-tokens", "8",           "--stats", "none"};
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("programs continue the goldens' prompts as transformers does, on every mesh they were built for") {
  struct Row {
    const char *program, *golden;
    std::vector<std::string> meshes;
  };
  const std::vector<std::string> all = {"1x1x1", "1x2x2"};
  const std::vector<Row> rows = {{"mixtral", "mixtral", all},         {"qwen2_moe", "qwen2_moe", all},
                                 {"qwen3_moe", "qwen3_moe", all},     {"qwen3_moe", "qwen3_moe_nonorm", {"1x1x1"}},
                                 {"deepseek_v3", "deepseek_v3", all}, {"gpt_oss", "gpt_oss", all}};
  for (const Row& row : rows) {
    const std::string expected = ids(row.golden, "generate_prompt", 8) + " " + ids(row.golden, "generate", 8) + "\n";
    for (const std::string& mesh : row.meshes) {
      CAPTURE(row.golden);
      CAPTURE(mesh);
      const Outcome r = run(row.program, continuing(row.golden, mesh));
      CHECK(r.err == "");
      CHECK(r.out == expected);
      CHECK(r.code == 0);
    }
  }
}

TEST_CASE("programs: rows of a batch are what they are alone, and a seed repeats") {
  const auto with = [](std::vector<std::string> more) {
    std::vector<std::string> all = {"--checkpoint", data / "mixtral", "--max-tokens", "6", "--stats", "none"};
    all.insert(all.end(), more.begin(), more.end());
    return run("mixtral", all).out;
  };
  for (const char* mesh : {"1x1x1", "1x2x2"}) {
    CAPTURE(mesh);
    CHECK(with({"--mesh", mesh, "--ids", "1 2 3", "--ids", "200", "--ids", "7 7 7 7 7"}) ==
          with({"--ids", "1 2 3"}) + with({"--ids", "200"}) + with({"--ids", "7 7 7 7 7"}));
  }
  const std::vector<std::string> hot = {"--ids", "1 2 3", "--temperature", "1", "--seed", "7"};
  CHECK(with(hot) == with(hot));
  CHECK(with(hot) != with({"--ids", "1 2 3", "--temperature", "1", "--seed", "8"}));
}

TEST_CASE("programs: --save writes what --checkpoint reads, and random weights are the same on every mesh") {
  const TemporaryFolder copy;
  fs::copy(data / "mixtral" / "config.json", copy / "config.json");
  const Outcome saved = run("mixtral", {"--checkpoint", data / "mixtral", "--mesh", "1x2x2", "--save",
                                        copy / "model.safetensors", "--stats", "none"});
  CHECK(saved.code == 0);
  CHECK(saved.err == "");
  const tess::io::SafetensorsFile before(data / "mixtral" / "model.safetensors"), after(copy / "model.safetensors");
  REQUIRE(before.arrays().size() == after.arrays().size());
  for (const auto& a : before.arrays()) {
    CAPTURE(a.name);
    const auto data_before = a.array.data, data_after = after[a.name].data;
    CHECK(a.array.shape == after[a.name].shape);
    CHECK(std::equal(data_before.begin(), data_before.end(), data_after.begin(), data_after.end()));
  }
  auto arguments = continuing("mixtral", "1x1x1");
  arguments[1] = copy.path();
  CHECK(run("mixtral", arguments).out == run("mixtral", continuing("mixtral", "1x1x1")).out);

  const auto dummy = [](const char* mesh) {
    return run("mixtral", {"--dummy", data / "mixtral" / "config.json", "--mesh", mesh, "--ids", "1 2 3",
                           "--max-tokens", "8", "--stats", "none"})
        .out;
  };
  CHECK(dummy("1x1x1").starts_with("1 2 3 "));
  CHECK(dummy("1x1x1") == dummy("1x2x2"));
}

TEST_CASE("programs: --plan is the bill of the model's own code; --stats json and --help say what they should") {
  const auto plan = [](const char* mesh) {
    return run("mixtral", {"--dummy", data / "mixtral" / "config.json", "--plan", "--mesh", mesh, "--prompt-tokens",
                           "64", "--context", "100"});
  };
  CHECK(plan("1x1x1").code == 0);
  CHECK(contains(plan("1x1x1").out, "0.293 million parameters"));
  CHECK(contains(plan("1x1x1").out, "0 collectives, 0 B received"));
  const Outcome meshed = plan("1x2x2");
  for (const char* fact : {"mesh data=1 expert=2 model=2", "prefill of 2 × 64 tokens", "position 99",
                           "all-to-all over expert", "all-reduce over model", "upper bound"})
    CHECK_MESSAGE(contains(meshed.out, fact), fact);
  auto arguments = continuing("mixtral", "1x1x1");
  arguments.back() = "json";
  CHECK(contains(run("mixtral", arguments).err, "\"generated_tokens\": 7"));  // the first token comes from the prompt
  const Outcome help = run("mixtral", {"--help"});
  CHECK(help.code == 0);
  for (const char* option : {"--checkpoint", "--dummy", "--ids", "--mesh", "1x1x1|1x2x2", "--weights", "--threads",
                             "--save", "--max-tokens", "--temperature", "--nucleus-p", "--seed", "--plan", "--stats",
                             "tokenizer.json (byte-level BPE) is not read", "Examples", "Exit codes"})
    CHECK_MESSAGE(contains(help.out, option), option);
}

TEST_CASE(
    "--device cuda without a GPU is one sentence and exit code 3; in a build without CUDA, how to build with it") {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);  // also where there is one
  const Outcome r = run("mixtral", {"--checkpoint", data / "mixtral", "--device", "cuda", "--ids", "1 2"});
  unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(r.out == "");
  if (contains(r.err, "was built without CUDA")) {
    CHECK(r.code == 2);
    CHECK(contains(r.err, "-DTESS_CUDA=ON"));
  } else {
    CHECK(r.code == 3);
    CHECK(contains(r.err, "there is no CUDA device here"));
    CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
  }
}

TEST_CASE("programs refuse bad arguments and files with one short error and exit code 2") {
  const TemporaryFolder folder;
  const std::string golden = data / "mixtral", config = data / "mixtral" / "config.json";
  write_file(folder / "eos.json", R"({"vocab_size": 256, "eos_token_id": [2, 4294967297]})");
  const std::vector<std::pair<std::vector<std::string>, std::string>> rows = {
      {{}, "no model; give --checkpoint FOLDER"},
      {{"--checkpoint", golden}, "nothing to do"},
      {{"--checkpoint", folder / "missing", "--ids", "1"}, "is not a folder"},
      {{"--checkpoint", folder.path(), "--ids", "1"}, "config.json"},
      {{"--checkpoint", golden, "--dummy", config, "--ids", "1"}, "--dummy"},
      {{"--checkpoint", golden, "--ids", "1 256"}, "\"256\" is no token id; give numbers from 0 to 255"},
      {{"--checkpoint", golden, "--ids", " "}, "the prompt is empty"},
      {{"--checkpoint", golden, "words"}, "there is no tokenizer.model beside"},
      {{"--checkpoint", golden, "--tokenizer", config, "words"}, "is not a SentencePiece model"},
      {{"--checkpoint", golden, "--ids", "1", "words"}, "exclude each other"},
      {{"--checkpoint", golden, "--mesh", "1x1x3", "--ids", "1"}, "\"1x1x3\" is unknown; choose one of: 1x1x1 1x2x2"},
      {{"--checkpoint", golden, "--weights", "f16", "--ids", "1"}, "f32 bf16"},
      {{"--checkpoint", golden, "--max-tokens", "0", "--ids", "1"}, "--max-tokens"},
      {{"--checkpoint", golden, "--temperature", "-1", "--ids", "1"}, "--temperature"},
      {{"--checkpoint", golden, "--batch", "2", "--ids", "1"}, "--batch"},
      {{"--checkpoint", golden, "--plan", "--prompt-tokens", "9", "--context", "8"},
       "does not fit into a context of 8"},
      {{"--checkpoint", golden, "--plan", "--batch", "4096", "--prompt-tokens", "2048"}, "4096 × 2048 tokens"},
      {{"--dummy", folder / "eos.json", "--ids", "1"}, "\"eos_token_id\" is 4294967297, which is no token"},
      {{"--checkpoint", golden, "--save", folder / "no" / "file"}, "cannot be created"},
      {{"--dummy", data / "qwen3_moe" / "config.json", "--ids", "1"}, "\"model_type\" is \"qwen3_moe\""},
      {{"--no-such-option"}, "--no-such-option"},
      {{"--checkpoint", golden, "--gpus", "0", "--ids", "1"}, "--gpus needs --device cuda"},
      {{"--checkpoint", golden, "--device", "cuda", "--gpus", "0,1,0", "--ids", "1"}, "names GPU 0 twice"},
      {{"--checkpoint", golden, "--device", "tpu", "--ids", "1"}, "host cuda"}};
  for (const auto& row : rows) {
    const std::string& expected = row.second;
    CAPTURE(expected);
    const Outcome r = run("mixtral", row.first);
    CHECK(r.code == 2);
    CHECK(r.out == "");
    CHECK(contains(r.err, expected));
    CHECK(lines(r.err) <= 3);
  }
  const Outcome heads = run("qwen3_moe", continuing("qwen3_moe_nonorm", "1x2x2"));
  CHECK(heads.code == 2);
  CHECK(contains(heads.err, "does not divide into 2 shards"));  // one key/value head
}
