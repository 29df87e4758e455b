// Traffic: what really moved between the shards of a mesh; must equal the bill that `Dry` gives for the same program.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <vector>

#include "../core/types.hpp"

namespace tess {

/// Bytes that each rank of a mesh received from other ranks.
using Received = std::vector<index_t>;

struct Traffic {
  index_t collectives = 0;
  index_t busiest_bytes = 0;  // what the busiest rank of each collective received, summed: the bill
  Received bytes;             // received by each rank

  index_t most_bytes() const { return bytes.empty() ? 0 : *std::max_element(bytes.begin(), bytes.end()); }

  /// Adds one collective: what each rank received.
  void count(const Received& received) {
    ++collectives;
    busiest_bytes += *std::max_element(received.begin(), received.end());
    add(received);
  }
  void add(const Traffic& other) {
    collectives += other.collectives, busiest_bytes += other.busiest_bytes;
    add(other.bytes);
  }

 private:
  void add(const Received& received) {
    if (bytes.size() < received.size()) bytes.resize(received.size());
    for (std::size_t r = 0; r < received.size(); ++r) bytes[r] += received[r];
  }
};

}  // namespace tess
