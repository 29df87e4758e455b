// A mapped file shows its bytes, lives as long as its views, and refuses what cannot be mapped.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/mapped_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

TEST_CASE("MappedFile shows the bytes of the file") {
  const TemporaryFolder folder;
  write_file(folder / "a", std::string("ab\0c", 4));
  const MappedFile file(folder / "a");
  file.advise_sequential();
  file.advise_willneed();
  REQUIRE(file.size() == 4);
  CHECK(file.bytes()[1] == std::byte{'b'});
  CHECK(file.bytes()[2] == std::byte{0});
  CHECK(file.path() == folder / "a");
}

TEST_CASE("the mapping lives until the last copy and the last owner are gone") {
  const TemporaryFolder folder;
  write_file(folder / "a", "tessera");
  std::optional<MappedFile> file(folder / "a");
  const MappedFile copy = *file;
  const std::byte* address = file->bytes().data();
  CHECK(copy.bytes().data() == address);
  const std::shared_ptr<const void> owner = file->owner();
  file.reset();
  std::filesystem::remove(folder / "a");  // an unlinked file stays readable
  CHECK(copy.bytes()[0] == std::byte{'t'});
  CHECK(owner.use_count() == 2);
}

/// What of this process is in memory, to the page.
long resident_kib() {
  std::ifstream maps("/proc/self/smaps_rollup");
  for (std::string line; std::getline(maps, line);)
    if (line.starts_with("Rss:")) return std::stol(line.substr(4));
  return 0;
}

TEST_CASE("forgotten pages leave memory and come back when they are read") {
  const TemporaryFolder folder;
  constexpr std::size_t size = std::size_t{8} << 20;
  std::string content(size, 'x');
  for (std::size_t i = 0; i < size; i += 4096) content[i] = static_cast<char>(i / 4096 % 251);
  write_file(folder / "a", content);
  const MappedFile file(folder / "a");
  const auto same = [&] { return std::memcmp(file.bytes().data(), content.data(), size) == 0; };
  CHECK(same());
  const long before = resident_kib();
  MappedFile::forget(file.owner());
  CHECK(resident_kib() < before - 7 * 1024);
  CHECK(same());

  const auto heap = std::make_shared<std::string>(content);
  MappedFile::forget(heap);
  CHECK(*heap == content);
}

TEST_CASE("MappedFile refuses, and says what it found") {
  const TemporaryFolder folder;
  write_file(folder / "empty", "");
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  struct Row {
    std::string name, expected;
  };
  for (const Row& row : {Row{"missing", "No such file or directory"}, Row{".", "is a directory"},
                         Row{"empty", "is empty (0 bytes)"}, Row{"fifo", "is not a regular file"}}) {
    CAPTURE(row.name);
    const std::string message = error_of([&] { MappedFile(folder / row.name); });
    CAPTURE(message);
    CHECK(contains(message, (folder / row.name).string()));
    CHECK(contains(message, row.expected));
    CHECK(is_short(message));
  }
}
