// schedule: when each call of a program starts and how long it takes on a machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../comm/predict.hpp"
#include "timeline.hpp"

namespace tess {

/// Call i of a timeline, its first time; later rounds of a repetition follow at once.
struct Span {
  std::size_t event = 0;
  double start = 0, seconds = 0;
  index_t times = 1;
};

/// All calls in order, one after the other, and the end of the last one.
struct Schedule {
  std::vector<Span> spans;
  double end = 0;
};

inline Schedule schedule(const Timeline& timeline, const Machine& m, const MeshValue& mesh) {
  Schedule s;
  for (std::size_t i = 0; i < timeline.events.size(); ++i) {
    const Event& e = timeline.events[i];
    const double duration = e.moves() ? seconds(e.transfer, m, mesh) : seconds(e.work, m);
    s.spans.push_back({i, s.end, duration, timeline.times(i)});
    s.end += duration;
    for (const Repetition& r : timeline.repetitions)
      if (r.last == i + 1 && r.first <= i) s.end += static_cast<double>(r.n - 1) * (s.end - s.spans[r.first].start);
  }
  return s;
}

}  // namespace tess
