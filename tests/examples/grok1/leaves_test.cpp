// The leaves of a checkpoint: the goldens' own lists, and all 770 of Grok-1 as JAX enumerates them.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <tess/io/json.hpp>

#include "grok1/config_json.hpp"
#include "grok1/leaves.hpp"

using namespace grok1;

namespace {

const std::string data = TESS_TEST_DATA;

/// Splits a line of CSV; fields in quotes may contain commas.
std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line)
    if (c == '"') quoted = !quoted;
    else if (c == ',' && !quoted) out.emplace_back();
    else if (c != '\r') out.back() += c;
  return out;
}

std::string joined(const std::vector<index_t>& shape) {
  std::string s;
  for (const auto n : shape) s += (s.empty() ? "" : "x") + std::to_string(n);
  return s;
}

}  // namespace

TEST_CASE("leaves: order and names of every golden checkpoint") {
  for (const std::string folder : {"moe12", "moe2", "dense", "dense_f32_2x4"}) {
    CAPTURE(folder);
    const std::string file = data + "/grok/" + folder + "/config.json";
    std::vector<std::string> expected, found;
    const auto root = tess::io::Json::read_file(file);
    for (const auto& name : root.at("leaves").array()) expected.push_back(name.string());
    for (const auto& leaf : leaves(read_config(file).config)) found.push_back(leaf.path);
    CHECK(found == expected);
  }
}

TEST_CASE("leaves: the 770 of Grok-1, with file, shape and scale groups") {
  const auto all = leaves(grok_1);
  REQUIRE(all.size() == 770);
  std::ifstream csv(TESS_SHARDING_DATA "/grok1_param_specs.csv");
  std::string line;
  std::getline(csv, line);
  std::map<std::string, std::size_t> column;
  for (const auto& name : fields(line)) column.emplace(name, column.size());
  int plain = 0, weights = 0, scales = 0;
  while (std::getline(csv, line)) {
    const auto row = fields(line);
    const auto at = [&](const char* name) { return row.at(column.at(name)); };
    const auto index = static_cast<std::size_t>(std::stoul(at("index")));
    const Leaf& leaf = all.at(index);
    CAPTURE(line);
    CHECK(leaf.path == at("path"));
    CHECK(leaf_file(index) == at("file"));
    if (at("part") == "scales") {
      auto shape = leaf.shape;
      shape[shape.size() - 2] = leaf.groups;
      CHECK(joined(shape) == at("shape"));
      ++scales;
      continue;
    }
    CHECK(joined(leaf.shape) == at("shape"));
    CHECK((leaf.quantized() ? "int8" : "float32") == at("dtype"));
    CHECK((leaf.quantized() ? std::to_string(leaf.groups) : "") == at("scale_groups"));
    ++(leaf.quantized() ? weights : plain);
  }
  CHECK(plain == 322);
  CHECK(weights == 448);
  CHECK(scales == 448);
}

TEST_CASE("leaves: layers stand in the order of strings, file 26 belongs to layer 10") {
  const auto all = leaves(grok_1);
  CHECK(all[2].path == "transformer/decoder_layer_0/moe/linear/w");
  CHECK(all[14].path == "transformer/decoder_layer_1/moe/linear/w");
  CHECK(all[26].path == "transformer/decoder_layer_10/moe/linear/w");
  CHECK(all[769].path == "transformer/decoder_layer_9/router/w");
  CHECK(leaf_file(26) == "tensor00026_000");
  CHECK(leaf_file(123456) == "tensor123456_000");
}

TEST_CASE("leaves: plain f32 weights have no groups") {
  auto config = tiny;
  config.quantized = false;
  for (const auto& leaf : leaves(config)) CHECK_FALSE(leaf.quantized());
}
