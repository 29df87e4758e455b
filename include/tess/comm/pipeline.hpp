// Pipeline: a model cut into stages through which microbatches pass, and the time in which stages wait.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess {

/// GPipe and 1F1B alike: stage s works on microbatch i at tick s + i, so m microbatches take m + p − 1 ticks instead of m.
/// With v chunks of layers a stage (interleaved 1F1B) the wait shrinks v times and microbatches pass on v times as often.
/// Sources: Huang et al., arXiv 1811.06965, section 2.3; Narayanan et al., arXiv 2104.04473, section 2.2.
struct Pipeline {
  index_t stages = 1, microbatches = 1, chunks = 1;

  /// Waiting as a part of working: (p − 1) / (v m).
  constexpr double overhead() const {
    return static_cast<double>(stages - 1) / static_cast<double>(chunks * microbatches);
  }
  /// Waiting as a part of the whole: (p − 1) / (v m + p − 1).
  constexpr double bubble() const {
    return static_cast<double>(stages - 1) / static_cast<double>(chunks * microbatches + stages - 1);
  }
  /// Passes from a stage to the next one that follow one another: those of the first microbatch through all chunks, then
  /// those of the others through the last.
  constexpr index_t passes() const { return stages == 1 ? 0 : chunks * stages - 1 + chunks * (microbatches - 1); }
};

}  // namespace tess
