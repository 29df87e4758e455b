// A checkpoint in parts reads like one in a single file, and an index that does not fit its parts is refused.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/safetensors_checkpoint.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "tess/io/safetensors_writer.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

NamedArray array(const std::string& name, const std::vector<f32>& values) {
  return {name, array_of(DType::f32, {static_cast<index_t>(values.size())}, values)};
}

/// Two parts with the tensors a, c and b, and an index.
struct Parts {
  TemporaryFolder folder;
  std::filesystem::path index = folder / "model.safetensors.index.json";
  std::string text = R"({"metadata": {"total_size": 24}, "weight_map": {"c": "model-1-of-2.safetensors",)"
                     R"( "a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}})";
  Parts() {
    write_safetensors(folder / "model-1-of-2.safetensors", {array("a", {1, 2}), array("c", {3})});
    write_safetensors(folder / "model-2-of-2.safetensors", {array("b", {4, 5, 6})});
    write_file(index, text);
  }
  std::string error(const std::string& from, const std::string& to) {
    write_file(index, replaced(text, from, to));
    const std::string message = error_of([&] { SafetensorsCheckpoint{index}; });
    CHECK(is_short(message));
    CHECK(contains(message, index.string()));
    return message;
  }
};

}  // namespace

TEST_CASE("a folder, its index and a single file are opened alike") {
  const Parts parts;
  const ArrayView b = [&] { return SafetensorsCheckpoint(parts.folder.path())["b"]; }();  // outlives the checkpoint
  CHECK(values_as<int>(b) == std::vector<int>{4, 5, 6});

  const SafetensorsCheckpoint all(parts.index);
  REQUIRE(all.arrays().size() == 3);
  CHECK(all.arrays()[0].name == "a");
  CHECK(all.arrays()[2].name == "c");
  CHECK(values_as<int>(all["c"]) == std::vector<int>{3});
  CHECK(all.has("a"));
  CHECK(!all.has("d"));
  CHECK(contains(error_of([&] { (void)all["d"]; }), "has no tensor 'd' among its 3"));

  const SafetensorsCheckpoint one(parts.folder / "model-1-of-2.safetensors");
  CHECK(one.arrays().size() == 2);
  CHECK(values_as<int>(one["a"]) == std::vector<int>{1, 2});
}

TEST_CASE("a folder with model.safetensors alone") {
  const TemporaryFolder folder;
  CHECK(contains(error_of([&] { SafetensorsCheckpoint{folder.path()}; }), "holds neither model.safetensors nor"));
  write_safetensors(folder / "model.safetensors", {array("w", {7})});
  CHECK(values_as<int>(SafetensorsCheckpoint(folder.path())["w"]) == std::vector<int>{7});
}

TEST_CASE("an index and its parts agree, or it is refused") {
  Parts parts;
  CHECK(contains(parts.error("model-2-of-2", "model-3-of-2"), "names the part model-3-of-2.safetensors, which is not"));
  CHECK(contains(parts.error("\"b\"", "\"d\""), "names tensor 'd' in model-2-of-2.safetensors, which has no such"));
  CHECK(contains(parts.error("\"c\": \"model-1-of-2.safetensors\",", ""), "does not name tensor 'c' of model-1-of-2"));
  CHECK(contains(parts.error("\"a\": \"model-1-of-2", "\"a\": \"model-2-of-2"), "which has no such tensor"));
  CHECK(contains(parts.error("weight_map", "weights"), "the key \"weight_map\" is missing"));
  CHECK(contains(parts.error("\"model-2-of-2.safetensors\"", "2"), "expected a string"));
}

TEST_CASE("an index does not reach outside its folder") {
  Parts parts;
  for (const char* part : {"../secret.safetensors", "/etc/passwd", "", "..", "a\\\\b"}) {
    CAPTURE(part);
    CHECK(contains(parts.error("model-2-of-2.safetensors", part), "expected the name of a file beside the index"));
  }
}
