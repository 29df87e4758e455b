// Our answers beside JAX's: each row of explicit_ops.csv is the same, stricter on purpose, or better; none unexplained.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <set>

#include "sharding/jax/families.hpp"

using namespace support::jax;

TEST_CASE("each family of rules answers its rows of explicit_ops.csv, and no difference to JAX is unexplained") {
  for (const Family& family : families) {
    const Tally t = tally(family.answer);
    INFO(Tally::some(t.unexplained()));
    CHECK_MESSAGE(t.all().unexplained == 0, family.name);
    CHECK_MESSAGE(t.all().rows > 0, family.name);
    std::cout << t.line(family.name) << '\n';
  }
}

TEST_CASE("the table: rows of each operation, and the classes of the differences") {
  const Tally t = tally(answer);
  t.print_operations(std::cout);
  std::cout << "differences by class (shared/goldens/sharding/README.md):\n";
  t.print_classes(std::cout);

  std::set<std::string> open;
  for (const JaxRow& row : all_rows())
    if (!answer(row)) open.insert(row.op);
  std::string names;
  for (const auto& op : open) names += op + ' ';
  CHECK_MESSAGE(open.empty(), "operations without an answer: " << names);
  CHECK(t.all().rows == 8109);
}

TEST_CASE("one row has one answer: no two families claim it") {
  int twice = 0;
  for (const JaxRow& row : all_rows()) {
    int claims = 0;
    for (const Family& family : families) claims += family.answer(row).has_value();
    twice += claims > 1;
  }
  CHECK(twice == 0);
}

TEST_CASE(
    "the 930 rows in which JAX moves bytes that nobody asked for: each is refused here, or has a result where none "
    "move") {
  int rows = 0, stricter = 0, better = 0;
  for (const JaxRow& row : all_rows()) {
    if (row.exchange != JaxRow::yes || row.out_sharding || row.op == "reshard") continue;
    ++rows;
    const auto ours = answer(row);
    if (!ours) continue;
    const Verdict v = classify(row, *ours).verdict;
    stricter += v == Verdict::stricter;
    better += v == Verdict::better;
  }
  CHECK(rows == 930);
  CHECK(stricter + better == rows);
  std::cout << rows << " rows in which JAX moves bytes silently: " << stricter << " refused, " << better
            << " local here\n";
}
