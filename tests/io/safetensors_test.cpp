// Safetensors: the reference's goldens are read, and every header that does not tile its file is refused.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

std::string file_of(std::string_view header, std::string_view bytes) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return file + std::string(header) + std::string(bytes);
}

std::vector<NamedArray> parse(const std::string& file) { return parse_safetensors(as_bytes(file), "x.safetensors"); }

bool inside(const std::vector<NamedArray>& arrays, const std::string& file) {
  for (const NamedArray& a : arrays) {
    if (a.array.offset > file.size() || a.array.data.size() > file.size() - a.array.offset) return false;
    if (a.array.data.data() != as_bytes(file).data() + a.array.offset) return false;
    if (byte_size(a.array.dtype, a.array.shape) != a.array.data.size()) return false;
  }
  return true;
}

const std::string good =
    file_of(R"({"w": {"dtype": "I8", "shape": [2, 3], "data_offsets": [4, 10]}, "__metadata__": {"format": "pt"},)"
            R"( "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}  )",
            from_hex("803f00c0 010203040506"));

}  // namespace

TEST_CASE("arrays by name") {
  const TemporaryFolder folder;
  write_file(folder / "x.safetensors", good);
  const ArrayView w = [&] { return SafetensorsFile(folder / "x.safetensors")["w"]; }();  // outlives the file's object
  CHECK(values_as<int>(w) == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(w.offset == good.size() - 6);

  const SafetensorsFile file(folder / "x.safetensors");
  CHECK(file.size() == 2);
  CHECK(file.names() == std::vector<std::string>{"a", "w"});
  CHECK(file.has("a"));
  CHECK(!file.has("__metadata__"));
  CHECK(values_as<float>(file["a"]) == std::vector<float>{1, -2});
  CHECK(contains(error_of([&] { (void)file["b"]; }), "has no tensor 'b' among its 2"));
}

TEST_CASE("the reference's goldens") {
  const std::filesystem::path folder = std::filesystem::path(TESS_TEST_DATA) / "grok";
  const SafetensorsFile golden(folder / "moe2" / "golden.safetensors");
  CHECK(describe(golden["forward/tokens"]) == "i32[2, 20]");
  CHECK(describe(golden["forward/logits"]) == "bf16[2, 20, 1000]");
  CHECK(describe(golden["truth/logits"]) == "f64[8, 1000]");
  CHECK(describe(SafetensorsFile(folder / "tiny-grok.safetensors")["logits"]) == "bf16[6, 64, 1024]");
  // The reference's bf16 logits lie within its own error of the truth: both are read as the numbers they are.
  const auto logits = values_as<double>(golden["forward/logits"]), truth = values_as<double>(golden["truth/logits"]);
  double difference = 0, norm = 0;
  const auto positions = values_as<std::size_t>(golden["truth/positions"]);  // tokens of which the truth is kept
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double away = logits[positions[i / 1000] * 1000 + i % 1000] - truth[i];
    difference += away * away, norm += truth[i] * truth[i];
  }
  CHECK(difference < 1e-3 * norm);
  CHECK(difference > 1e-7 * norm);
}

TEST_CASE("a scalar, an empty array, an empty file of arrays") {
  const std::string file = file_of(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                                   R"("e":{"dtype":"F64","shape":[0,7],"data_offsets":[4,4]}})",
                                   "1234");
  const auto arrays = parse(file);
  CHECK(describe(arrays[0].array) == "f64[0, 7]");
  CHECK(describe(arrays[1].array) == "f32[]");
  CHECK(parse(file_of("{}", "")).empty());
}

TEST_CASE("hostile files are refused in one to three lines") {
  auto one = [](std::string_view dtype, std::string_view shape, std::string_view offsets, std::string_view bytes) {
    return file_of("{\"w\":{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":" + std::string(shape) +
                       ",\"data_offsets\":" + std::string(offsets) + "}}",
                   bytes);
  };
  auto two = [](std::string_view first, std::string_view second, std::string_view bytes) {
    return file_of("{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":" + std::string(first) +
                       "},\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":" + std::string(second) + "}}",
                   bytes);
  };
  struct Row {
    std::string_view name;
    std::string file;
    std::string_view expected;
  };
  const std::vector<Row> rows{
      {"empty", "", "has 0 bytes; a safetensors file begins with 8 bytes"},
      {"seven bytes", "1234567", "has 7 bytes"},
      {"a header longer than the file", from_hex("ffffffffffffffff") + "{}",
       "the header has 18446744073709551615 bytes, but only 2 follow"},
      {"a pickle", from_hex("80049587000000000000008c156e756d7079"), "This is no safetensors file, or it is truncated"},
      {"an empty header", file_of("", ""), "must begin with '{', found ''"},
      {"a header that is a list", file_of("[]", ""), "must begin with '{', found '['"},
      {"a header that is no JSON", file_of("{\"a\": }", ""),
       "x.safetensors (header), line 1 (byte 6): expected a value"},
      {"bytes after the JSON", file_of("{}x", ""), "expected the end of the text"},
      {"a tensor that is a number", file_of("{\"w\": 1}", ""),
       "tensor 'w': x.safetensors (header), line 1: expected an object"},
      {"no dtype", file_of(R"({"w":{"shape":[],"data_offsets":[0,4]}})", "1234"), "the key \"dtype\" is missing"},
      {"no shape", file_of(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", "1234"), "the key \"shape\" is missing"},
      {"no offsets", file_of(R"({"w":{"dtype":"F32","shape":[]}})", "1234"), "the key \"data_offsets\" is missing"},
      {"a name twice",
       file_of(
           R"({"w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
           "1"),
       "the key \"w\" occurs twice"},
      {"an unknown dtype", one("F4", "[4]", "[0,4]", "1234"), "dtype 'F4' is not supported"},
      {"an extent too many", one("I8", "[5]", "[0,4]", "1234"), "tensor 'w': found 4 bytes, expected 5 for i8[5]"},
      {"a negative extent", one("I8", "[-1]", "[0,4]", "1234"), "expected a size or an offset, found -1"},
      {"a fraction", one("I8", "[1.5]", "[0,4]", "1234"), "expected an integer, found a number"},
      {"a product that overflows", one("F32", "[4294967296, 4294967296]", "[0,4]", "1234"),
       "expected more than any file holds"},
      {"one offset", one("I8", "[4]", "[0]", "1234"), "data_offsets has 1 numbers, expected the two"},
      {"offsets swapped", one("I8", "[4]", "[4,0]", "1234"), "data_offsets [4, 0] lie outside the data"},
      {"offsets beyond the end", one("I8", "[5]", "[0,5]", "1234"),
       "data_offsets [0, 5] lie outside the data, which has 4 bytes"},
      {"huge offsets", one("I8", "[4]", "[9223372036854775803,9223372036854775807]", "1234"), "lie outside the data"},
      {"truncated", good.substr(0, good.size() - 1), "truncated or damaged"},
      {"an overlap", two("[0,2]", "[1,3]", "123"),
       "tensor 'b' begins at byte 114, expected 115: it overlaps the tensor before"},
      {"the same bytes twice", two("[0,2]", "[0,2]", "12"), "overlaps"},
      {"a gap", two("[0,2]", "[3,5]", "12345"), "a gap before it holds unknown bytes"},
      {"bytes before the first", one("I8", "[2]", "[2,4]", "1234"), "a gap before it"},
      {"bytes after the last", good + "x", "1 bytes after the last tensor"},
      {"an escape sequence in a name", file_of("{\"\\u001b[2J\": 1}", ""), "tensor '\\x1b[2J'"},
      {"a deep header", file_of("{\"w\":" + std::string(100'000, '['), ""), "nesting deeper than 64"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string message = error_of([&] { parse(row.file); });
    CAPTURE(message);
    CHECK(message.starts_with("x.safetensors"));
    CHECK(contains(message, row.expected));
    CHECK(is_short(message));
  }
}

TEST_CASE("every truncation throws; every changed byte throws or leaves arrays inside the file") {
  REQUIRE(parse(good).size() == 2);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::string cut = good.substr(0, size);
    CHECK(!error_of([&] { parse(cut); }).empty());
  }
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string damaged = good;
      damaged[at] = static_cast<char>(value);
      try {
        if (!inside(parse(damaged), damaged)) FAIL("byte ", at, " = ", value, ": a view outside the file");
      } catch (const Error& error) {
        if (!is_short(error.what())) FAIL("byte ", at, " = ", value, ": ", error.what());
      }
    }
}
