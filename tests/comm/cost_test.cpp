// The ledger of a bill: lines by kind, totals that stay exact, and pooling when there are more kinds than lines.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/comm/cost.hpp>

namespace {

using namespace tess;

constexpr TransferLine gather(unsigned axes, index_t bytes) {
  return {.kind = Collective::all_gather, .axes = axes, .devices = 4, .count = 1, .messages = 3, .bytes = bytes};
}
constexpr WorkLine product(index_t flops, index_t weights) {
  return {.verb = "matmul", .count = 1, .flops = flops, .weight_bytes = weights};
}

TEST_CASE("calls of one kind share a line, whatever their bytes; other axes are another line") {
  constexpr auto ledger = [] {
    Ledger<TransferLine, 4> l;
    l.add(gather(1, 100));
    l.add(gather(2, 30));
    l.add(gather(1, 50));
    return l;
  }();
  static_assert(ledger.size() == 2);
  static_assert(ledger[0].count == 2 && ledger[0].bytes == 150 && ledger[0].messages == 6);
  static_assert(ledger[1].count == 1 && ledger[1].bytes == 30);
  static_assert(ledger.sum([](const TransferLine& t) { return t.bytes; }) == 180);
  CHECK(ledger == ledger);
}

TEST_CASE("work is kept by size, so that a roofline of each call can be had") {
  constexpr auto ledger = [] {
    Ledger<WorkLine, 4> l;
    l.add(product(8, 2));
    l.add(product(8, 2));
    l.add(product(8, 3));
    l.add({.verb = "take", .count = 1, .flops = 8, .weight_bytes = 2});
    return l;
  }();
  static_assert(ledger.size() == 3);
  static_assert(ledger[0].count == 2 && ledger[0].flops == 16 && ledger[0].weight_bytes == 4);
  CHECK(ledger[1].weight_bytes == 3);
  CHECK(ledger[2].verb == "take");
}

TEST_CASE("a repetition counts what is new n times, on old lines and on new ones") {
  constexpr auto ledger = [] {
    Ledger<TransferLine, 4> l;
    l.add(gather(1, 100));
    const auto before = l;
    l.add(gather(1, 10));
    l.add(gather(2, 7));
    l.repeat_since(before, 5);
    return l;
  }();
  static_assert(ledger[0].count == 6 && ledger[0].bytes == 150);
  static_assert(ledger[1].count == 5 && ledger[1].bytes == 35);
  CHECK(ledger.size() == 2);
}

TEST_CASE("more kinds than lines share the last line, and the totals stay exact") {
  Ledger<WorkLine, 3> work;
  Ledger<TransferLine, 3> transfers;
  index_t flops = 0, bytes = 0;
  for (index_t i = 1; i <= 10; ++i) {
    work.add(product(i * i, i));
    flops += i * i;
    transfers.add(
        {.kind = Collective::all_reduce, .axes = 1u << i, .devices = i, .count = 1, .messages = 1, .bytes = i});
    bytes += i;
  }
  CHECK(work.size() == 3);
  CHECK(work.sum([](const WorkLine& w) { return w.flops; }) == flops);
  CHECK(work.sum([](const WorkLine& w) { return w.count; }) == 10);
  CHECK(work[2].verb == "the rest");
  CHECK(transfers.size() == 3);
  CHECK(transfers.sum([](const TransferLine& t) { return t.bytes; }) == bytes);
  CHECK(transfers[2].devices == 10);  // the widest group of them
}

TEST_CASE("bills differ when a line does") {
  constexpr Cost none;
  constexpr Cost other = [] {
    Cost c;
    c.transfers.add(gather(1, 100));
    return c;
  }();
  static_assert(none == Cost{} && !(none == other));
  CHECK(other.bytes_between_hosts() == 0);
  Cost far = other;
  TransferLine line = gather(2, 40);
  line.between_hosts = true;
  far.transfers.add(line);
  CHECK(far.bytes_between_hosts() == 40);
}

}  // namespace
