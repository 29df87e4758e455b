// The page on JAX has a section for every class of differences, with the counts of today. TESS_WRITE_DOCS=1 mends it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "sharding/jax/families.hpp"
#include "support/files.hpp"
#include "support/summary.hpp"

using namespace support::jax;

namespace {

const std::string page = TESS_SOURCE_DIR "/docs/explanation/jax_differences.md";
const std::string begin = "<!-- counts: jax_differences_test.cpp -->\n", end = "<!-- /counts -->\n";

/// The lines between the markers: sections with the rows of explicit_ops.csv that fall under them.
std::string counts(const Tally& t) {
  std::string text = begin + "| section | rows | |\n|--:|--:|---|\n";
  for (int c = 1; c < jax_classes; ++c) {
    const auto k = static_cast<JaxClass>(c);
    if (t.of(k) > 0) text += "| " + std::to_string(c) + " | " + std::to_string(t.of(k)) + " | " + title(k) + " |\n";
  }
  const auto all = t.all();
  text += "\nOf " + std::to_string(all.rows) + " rows " + std::to_string(all.same) + " are the same, " +
          std::to_string(all.stricter) + " stricter, " + std::to_string(all.better) + " better, " +
          std::to_string(all.unexplained) + " unexplained.\n";
  return text + end;
}

}  // namespace

TEST_CASE("the page on JAX has a section for each of the fourteen classes") {
  const std::string text = tess::test::read_file(page);
  for (int c = 1; c < jax_classes; ++c)
    CHECK_MESSAGE(tess::test::contains(text, "\n### " + std::to_string(c) + ". "), "no section " << c);
}

TEST_CASE("and the counts of the rows that fall under them") {
  std::string text = tess::test::read_file(page);
  const Tally found = tally(answer);
  const auto all = found.all();
  support::report_rows("explicit_ops.csv", all.rows, all.same, all.stricter, all.better, all.unexplained);
  const std::string current = counts(found);
  const std::size_t from = text.find(begin), to = text.find(end);
  REQUIRE(from != text.npos);
  REQUIRE(to != text.npos);
  if (std::getenv("TESS_WRITE_DOCS")) {
    text.replace(from, to + end.size() - from, current);
    tess::test::write_file(page, text);
  }
  CHECK_MESSAGE(tess::test::contains(text, current), "the counts are now:\n" << current);
}
