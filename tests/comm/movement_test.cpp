// Who sends what to whom: the exact lists behind a permute and an exchange, checked device by device.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include <tess/comm/movement.hpp>

using namespace tess;

namespace {

MeshValue grid(std::initializer_list<index_t> sizes, unsigned between_hosts = 0) {
  MeshValue m;
  for (const index_t n : sizes) m.sizes[static_cast<std::size_t>(m.rank++)] = n;
  m.between_hosts = between_hosts;
  return m;
}
SpecValue sharded(std::initializer_list<std::initializer_list<int>> dims) {
  SpecValue s;
  for (const auto& axes : dims) {
    for (const int a : axes) s[s.rank].push(a);
    ++s.rank;
  }
  return s;
}

/// elements[from][to] that cross.
using Traffic = std::vector<std::vector<index_t>>;
Traffic crossing(const MeshValue& m, const SpecValue& from, const SpecValue& to, const AllExtents& whole) {
  const auto n = static_cast<std::size_t>(m.devices());
  Traffic t(n, std::vector<index_t>(n));
  for (std::size_t r = 0; r < n; ++r) {
    index_t covered = 0;
    for_each_piece(m, from, to, whole, static_cast<index_t>(r), [&](index_t peer, const Box& piece) {
      const Box held = shard_box(m, from, whole, peer);
      for (int d = 0; d < from.rank; ++d) CHECK((held[d].begin <= piece[d].begin && piece[d].end <= held[d].end));
      if (peer != static_cast<index_t>(r)) t[static_cast<std::size_t>(peer)][r] += piece.size();
      covered += piece.size();
    });
    CHECK(covered == shard_box(m, to, whole, static_cast<index_t>(r)).size());
  }
  return t;
}
std::vector<index_t> sent_by_each(const Traffic& t) {
  std::vector<index_t> sent;
  for (const auto& row : t) {
    sent.push_back(0);
    for (const index_t n : row) sent.back() += n;
  }
  return sent;
}
/// Devices to which each one sends.
index_t most_takers(const Traffic& t) {
  index_t most = 0;
  for (const auto& row : t)
    most = std::max(most, std::count_if(row.begin(), row.end(), [](index_t n) { return n > 0; }));
  return most;
}

}  // namespace

TEST_CASE("in a permute every device sends to one other at most, whichever copies there are") {
  CHECK(most_takers(crossing(grid({2, 2}), sharded({{0}, {}}), sharded({{1}, {}}), {8, 8})) == 1);
  CHECK(most_takers(crossing(grid({4, 4}), sharded({{0}, {}}), sharded({{1}, {}}), {8, 8})) == 1);
  CHECK(most_takers(crossing(grid({2, 3, 6}), sharded({{0, 1}, {}}), sharded({{2}, {}}), {12, 8})) == 1);
  CHECK(most_takers(crossing(grid({2, 3, 6}), sharded({{2}, {}}), sharded({{1, 0}, {}}), {12, 8})) == 1);
  CHECK(most_takers(crossing(grid({2, 4}), sharded({{0, 1}, {}}), sharded({{1, 0}, {}}), {8, 8})) == 1);
  CHECK(most_takers(crossing(grid({2, 2, 3}), sharded({{0}, {2}}), sharded({{1}, {2}}), {8, 6})) == 1);
}

TEST_CASE("an exchange of P(data, model) to P(model, data) asks equal amounts of everybody") {
  const Traffic t = crossing(grid({4, 4}), sharded({{0}, {1}}), sharded({{1}, {0}}), {16, 16});
  const std::vector<index_t> sent = sent_by_each(t);
  for (std::size_t r = 0; r < sent.size(); ++r) CHECK(sent[r] == (r / 4 == r % 4 ? 0 : 16));  // the diagonal stays
}

TEST_CASE("where every host has a copy, nothing crosses hosts") {
  const MeshValue m = grid({2, 4}, 0b01);  // two hosts of four devices
  const Traffic t = crossing(m, sharded({{1}, {}}), sharded({{}, {1}}), {8, 8});
  const Traffic u = crossing(m, sharded({{1}, {}}), sharded({{}, {0, 1}}), {8, 8});
  for (std::size_t r = 0; r < 8; ++r)
    for (std::size_t s = 0; s < 8; ++s)
      if (r / 4 != s / 4) CHECK(t[r][s] + u[r][s] == 0);
}

TEST_CASE("what a device lacks is what it receives, for every pair of specs of a matrix on 2x3") {
  const MeshValue m = grid({2, 3});
  const std::vector<SpecValue> specs = {sharded({{}, {}}),     sharded({{0}, {}}),    sharded({{}, {0}}),
                                        sharded({{1}, {}}),    sharded({{}, {1}}),    sharded({{0}, {1}}),
                                        sharded({{1}, {0}}),   sharded({{0, 1}, {}}), sharded({{1, 0}, {}}),
                                        sharded({{}, {0, 1}}), sharded({{}, {1, 0}})};
  for (const SpecValue& from : specs)
    for (const SpecValue& to : specs) {
      const Traffic t = crossing(m, from, to, {6, 6});
      for (index_t r = 0; r < 6; ++r) {
        index_t received = 0;
        for (const auto& row : t) received += row[static_cast<std::size_t>(r)];
        CHECK(received == lacking_elements(m, from, to, {6, 6}, r));
      }
    }
}

// The lists are known to the compiler.
static_assert([] {
  MeshValue m;
  m.rank = 1, m.sizes[0] = 4;
  SpecValue rows, columns;
  rows.rank = columns.rank = 2;
  rows[0].push(0), columns[1].push(0);
  index_t from_others = 0;
  for_each_piece(m, rows, columns, {8, 8}, 2, [&](index_t peer, const Box& piece) {
    if (peer != 2) from_others += piece.size();
  });
  return from_others == 3 * 2 * 2;
}());
