// Timeline: what a program does, call by call and in order, as a device that stores nothing has heard it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "../comm/cost.hpp"

namespace tess {

/// One call: a verb that computes, or one collective.
struct Event {
  WorkLine work{};          // count is 0 for a collective
  TransferLine transfer{};  // count is 0 for a verb that computes
  int parameter = -1;       // the number of the parameter that it reads or moves, where one was given (Dry::parameter)

  bool moves() const { return transfer.count > 0; }
};

/// Calls [first, last) stand for n rounds of themselves.
struct Repetition {
  std::size_t first = 0, last = 0;
  index_t n = 1;
};

struct Timeline {
  std::vector<Event> events;
  std::vector<Repetition> repetitions;  // inner ones before the outer one

  /// How often event i happens.
  index_t times(std::size_t i) const {
    index_t n = 1;
    for (const Repetition& r : repetitions)
      if (r.first <= i && i < r.last) n *= r.n;
    return n;
  }
};

}  // namespace tess
