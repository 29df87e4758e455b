// Written safetensors are read back bit for bit, and a file appears whole or not at all.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/safetensors_writer.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {
std::size_t files_in(const TemporaryFolder& folder) {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) n += entry.exists();
  return n;
}
/// While it lives, the system refuses to make any file of this process longer than `bytes`.
struct SizeLimit {
  ::rlimit before{};
  explicit SizeLimit(::rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const ::rlimit now{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before); }
};
const std::vector<TensorEntry> two = {{"a", DType::i8, {3}}, {"b", DType::f32, {2}}};
const std::string three_bytes = "abc", eight_bytes = "12345678";
}  // namespace

TEST_CASE("what is written is read: names, dtypes, shapes and every bit") {
  const TemporaryFolder folder;
  const std::vector<NamedArray> arrays = {
      {"model.layers.0.w", array_of(DType::f32, {2, 2}, std::vector<f32>{1, -0.0f, 3.5f, 1e-40f})},
      {"bytes", array_of(DType::i8, {3}, std::vector<std::int8_t>{-128, 0, 127})},
      {"halves", array_of(DType::bf16, {1, 2}, std::vector<bf16>{bf16(0.5f), bf16(-3.0f)})},
      {"scalar", array_of(DType::f64, {}, std::vector<f64>{0.1})},
      {"empty", array_of(DType::i64, {0, 7}, std::vector<std::int64_t>{})},
      {"quote \" backslash \\ and \x01", array_of(DType::u8, {1}, std::vector<std::uint8_t>{9})},
  };
  write_safetensors(folder / "x.safetensors", arrays, {{"format", "pt"}, {"note", "tab\there"}});
  const SafetensorsFile file(folder / "x.safetensors");
  REQUIRE(file.size() == static_cast<index_t>(arrays.size()));
  for (const NamedArray& a : arrays) {
    CAPTURE(a.name);
    const ArrayView& read = file[a.name];
    CHECK(describe(read) == describe(a.array));
    CHECK(std::equal(read.data.begin(), read.data.end(), a.array.data.begin(), a.array.data.end()));
    CHECK(read.offset % size_of(read.dtype) == 0);
  }
  CHECK(files_in(folder) == 1);
}

TEST_CASE("the reference's own file, written again, holds the same tensors") {
  const TemporaryFolder folder;
  const SafetensorsFile golden(std::filesystem::path(TESS_TEST_DATA) / "grok/moe2/golden.safetensors");
  write_safetensors(folder / "again.safetensors", golden.arrays());
  const SafetensorsFile again(folder / "again.safetensors");
  REQUIRE(again.names() == golden.names());
  for (const NamedArray& a : golden.arrays()) {
    const ArrayView& read = again[a.name];
    CHECK(describe(read) == describe(a.array));
    CHECK(std::equal(read.data.begin(), read.data.end(), a.array.data.begin(), a.array.data.end()));
  }
}

TEST_CASE("a file appears whole or not at all") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "x.safetensors";
  write_file(path, "the old one");
  SUBCASE("a writer that is left behind removes its traces") {
    SafetensorsWriter writer(path, two);
    writer.write("a", as_bytes(three_bytes));
    CHECK(files_in(folder) == 2);
  }
  SUBCASE("a tensor is missing") {
    SafetensorsWriter writer(path, two);
    writer.write("a", as_bytes(three_bytes));
    CHECK(contains(error_of([&] { writer.commit(); }), "tensor 'b' was announced, but not written"));
  }
  SUBCASE("the folder does not exist") {
    CHECK(contains(error_of([&] { SafetensorsWriter(folder / "no/x.safetensors", two); }), "cannot be created"));
  }
  SUBCASE("the disk is full") {
    const SizeLimit limit(4);  // no file may grow beyond: what the system says of a full disk, it says of this
    const std::string message = error_of([&] { SafetensorsWriter(path, two); });
    CHECK(contains(message, "cannot be written: File too large"));
    CHECK(contains(message, "left as it was"));
    CHECK(is_short(message));
  }
  CHECK(read_file(path) == "the old one");
}

TEST_CASE("a tensor is written once, under a name that was announced, with all its bytes") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "x.safetensors";
  SafetensorsWriter writer(path, two);
  CHECK(contains(error_of([&] { writer.write("c", {}); }), "tensor 'c' was not announced"));
  CHECK(contains(error_of([&] { writer.write("a", as_bytes(eight_bytes)); }), "8 bytes given, expected 3"));
  writer.write("b", as_bytes(eight_bytes));
  CHECK(contains(error_of([&] { writer.write("b", as_bytes(eight_bytes)); }), "tensor 'b' is written twice"));
  CHECK(contains(error_of([&] { SafetensorsWriter(path, {two[0], two[0]}); }), "two tensors have the name 'a'"));
  CHECK(contains(error_of([&] { SafetensorsWriter(path, {{"n", DType::i8, {-1}}}); }), "cannot be written"));
  writer.write("a", as_bytes(three_bytes));
  writer.commit();
  CHECK(values_as<int>(SafetensorsFile(path)["a"]) == std::vector<int>{'a', 'b', 'c'});
}
