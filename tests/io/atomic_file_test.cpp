// A file appears under its name with all its bytes, or the old one stays.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/atomic_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

TEST_CASE("bytes in any order, seen when they are committed") {
  const TemporaryFolder folder;
  write_file(folder / "x", "the old one");
  {
    AtomicFile file(folder / "x");
    file.write(as_bytes("world"), 6);
    file.write(as_bytes("hello "), 0);
    CHECK(read_file(folder / "x") == "the old one");
    file.commit();
  }
  CHECK(read_file(folder / "x") == "hello world");
}

TEST_CASE("without a commit nothing is left") {
  const TemporaryFolder folder;
  { AtomicFile(folder / "x").write(as_bytes("hello"), 0); }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a place where no file can be") {
  const TemporaryFolder folder;
  CHECK(contains(error_of([&] { AtomicFile(folder / "no/x"); }), "cannot be created: No such file or directory."));
  std::filesystem::create_directories(folder / "taken/by");
  CHECK(contains(error_of([&] {
                   AtomicFile file(folder / "taken");
                   file.commit();
                 }),
                 "cannot be put in place: "));
  CHECK(std::filesystem::is_directory(folder / "taken/by"));
}
