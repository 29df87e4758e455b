// A checkpoint folder gives each parameter by its path, in the order of JAX, and says what is wrong with a folder.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/checkpoint.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/pickle_writer.hpp"
#include "tess/io/json.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

using Paths = std::vector<std::string>;

const std::filesystem::path goldens = std::filesystem::path(TESS_TEST_DATA) / "grok";

Paths leaves_of(const std::string& folder) {
  Paths paths;
  for (const Json& leaf : Json::read_file(goldens / folder / "config.json").at("leaves").array())
    paths.push_back(leaf.string());
  return paths;
}

const Paths three{"m/a/w", "m/b/w", "m/c/w"};

/// ckpt-0 with the parameters [1], [2], [3].
void write_checkpoint(const TemporaryFolder& folder) {
  std::filesystem::create_directory(folder / "ckpt-0");
  for (int i = 0; i < 3; ++i) {
    const float number = static_cast<float>(i + 1);
    std::ofstream out(folder / ("ckpt-0/tensor0000" + std::to_string(i) + "_000"), std::ios::binary);
    PickleWriter(out).write_f32({1}, from_memory(std::as_bytes(std::span(&number, 1))));
  }
}

}  // namespace

TEST_CASE("the order of the files is the string order of modules, then of parameters") {
  CHECK(haiku_leaf_order({"t/layer_2/w", "t/layer_10/w", "t/layer_1/w", "t/layer_0/w", "t/layer_11/w"}) ==
        Paths{"t/layer_0/w", "t/layer_1/w", "t/layer_10/w", "t/layer_11/w", "t/layer_2/w"});
  CHECK(haiku_leaf_order({"moe/linear_1/w", "moe/linear_v/w", "moe/linear/w"}) ==
        Paths{"moe/linear/w", "moe/linear_1/w", "moe/linear_v/w"});
  // Two levels, not one string: module "a" with all its parameters stands before module "a-b", though '-' < '/'.
  CHECK(haiku_leaf_order({"a-b/w", "a/z", "a/b"}) == Paths{"a/b", "a/z", "a-b/w"});
  CHECK(contains(error_of([] { haiku_leaf_order({"a/w", "b/w", "a/w"}); }), "'a/w' occurs twice"));
  CHECK(contains(error_of([] { haiku_leaf_order({"w"}); }), "'w' names no module"));
}

TEST_CASE("the order that JAX gave the reference's files") {
  for (const std::string folder : {"moe12", "moe2", "dense", "dense_f32_2x4"}) {
    const Paths expected = leaves_of(folder);
    Paths shuffled = expected;
    std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(7));
    CHECK(haiku_leaf_order(shuffled) == expected);
  }
}

TEST_CASE("parameters of the golden checkpoint by path") {
  const PickleCheckpoint checkpoint(goldens / "moe12", leaves_of("moe12"));
  CHECK(checkpoint.size() == 146);
  CHECK(checkpoint.folder() == goldens / "moe12" / "ckpt-0");
  struct Row {
    std::string path, file, weight, scales;
  };
  for (const Row& row : {
           Row{"language_model/in_out_embed/embeddings", "tensor00000_000", "f32[512, 32]", ""},
           Row{"transformer/decoder_layer_0/moe/linear_1/w", "tensor00003_000", "i8[8, 176, 32]", "bf16[8, 8, 32]"},
           Row{"transformer/decoder_layer_10/moe/linear/w", "tensor00026_000", "i8[8, 32, 176]", "bf16[8, 1, 176]"},
           Row{"transformer/decoder_layer_2/router/w", "tensor00061_000", "f32[32, 8]", ""},
           Row{"transformer/decoder_layer_9/multi_head_attention/linear/w", "tensor00138_000", "i8[256, 32]",
               "bf16[8, 32]"},
       }) {
    CAPTURE(row.path);
    CHECK(checkpoint.contains(row.path));
    CHECK(checkpoint.file_of(row.path).filename() == row.file);
    const Leaf leaf = checkpoint.read(row.path);
    CHECK(describe(leaf.weight) == row.weight);
    CHECK((leaf.scales ? describe(*leaf.scales) : "") == row.scales);
  }
  CHECK(!checkpoint.contains("transformer/decoder_layer_12/router/w"));
  CHECK(
      contains(error_of([&] { (void)checkpoint.read("transformer/decoder_layer_12/router/w"); }), "has no parameter"));
}

TEST_CASE("the folder itself or its parent, with other files beside") {
  const TemporaryFolder folder;
  write_checkpoint(folder);
  for (const char* other :
       {"README.md", ".gitattributes", "tensor00003_000.incomplete", "tensor3_000", "tensorabcde_000"})
    write_file(folder.path() / "ckpt-0" / other, "x");
  for (const auto& path : {folder.path(), folder / "ckpt-0"}) {
    const PickleCheckpoint checkpoint(path, three);
    CHECK(values_as<float>(checkpoint.read("m/b/w").weight) == std::vector<float>{2});
  }
}

TEST_CASE("what is wrong with a folder is said in one to three lines") {
  struct Row {
    std::string_view name;
    std::function<void(const TemporaryFolder&)> damage;
    Paths paths;
    std::string_view expected;
  };
  auto nothing = [](const TemporaryFolder&) {};
  auto remove = [](std::string_view file) {
    return [file](const TemporaryFolder& f) { std::filesystem::remove(f.path() / "ckpt-0" / file); };
  };
  auto add = [](std::string_view file) {
    return [file](const TemporaryFolder& f) { write_file(f.path() / "ckpt-0" / file, "x"); };
  };
  const Paths two{"m/a/w", "m/b/w"}, five{"m/a/w", "m/b/w", "m/c/w", "m/d/w", "m/e/w"};
  const std::vector<Row> rows{
      {"no folder", [](const TemporaryFolder& f) { std::filesystem::remove_all(f.path()); }, three, "does not exist"},
      {"a file",
       [](const TemporaryFolder& f) {
         std::filesystem::remove_all(f.path());
         write_file(f.path(), "x");
       },
       three, "is not a directory; expected the folder that holds tensor00000_000"},
      {"an empty folder", [](const TemporaryFolder& f) { std::filesystem::remove_all(f / "ckpt-0"); }, three,
       "holds no checkpoint; expected the files tensor00000_000 to tensor00002_000"},
      {"the first is missing", remove("tensor00000_000"), three, "tensor00000_000 is missing (m/a/w)"},
      {"one in the middle is missing", remove("tensor00001_000"), three, "tensor00001_000 is missing (m/b/w)"},
      {"fewer layers than configured", nothing, five,
       "holds 3 parameters, the configuration expects 5.\n  Is it the checkpoint of this configuration?"},
      {"more layers than configured", nothing, two, "holds 3 parameters, the configuration expects 2"},
      {"a second host", add("tensor00001_001"), three, "tensor00001_001 was saved by host 1 of several"},
      {"a leaf too many", add("tensor00007_000"), three, "holds 4 parameters, the configuration expects 3"},
      {"no expectation", nothing, {}, "leaf_paths is empty"},
      {"a path twice", nothing, {"m/a/w", "m/b/w", "m/a/w"}, "'m/a/w' occurs twice"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TemporaryFolder folder;
    write_checkpoint(folder);
    row.damage(folder);
    const std::string message = error_of([&] { const PickleCheckpoint checkpoint(folder.path(), row.paths); });
    CAPTURE(message);
    CHECK(contains(message, row.expected));
    CHECK(is_short(message));
  }
}

TEST_CASE("what is wrong with a file is said with the parameter's path") {
  struct Row {
    std::string name, contents, expected;
  };
  const TemporaryFolder folder;
  write_checkpoint(folder);
  const auto file = folder / "ckpt-0/tensor00001_000";
  const std::string good = read_file(file);
  for (const Row& row :
       {Row{"empty", "", "is empty (0 bytes)"}, Row{"truncated", good.substr(0, 50), "truncated or damaged"},
        Row{"LFS", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"}}) {
    CAPTURE(row.name);
    write_file(file, row.contents);
    const PickleCheckpoint checkpoint(folder.path(), three);  // looks at names only
    const std::string message = error_of([&] { (void)checkpoint.read("m/b/w"); });
    CAPTURE(message);
    CHECK(message.starts_with("parameter m/b/w:\n  " + file.string() + ": "));
    CHECK(contains(message, row.expected));
    CHECK(is_short(message));
    CHECK(values_as<float>(checkpoint.read("m/c/w").weight) == std::vector<float>{3});  // the others are readable
  }
}
