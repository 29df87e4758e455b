// Rows of experts: choices are numbered by expert, rows are copied in that order, and summed by token.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <vector>

#include "../../core/error.hpp"
#include "../token_group.hpp"

namespace tess::host {

/// Of the experts of a model, those of one device.
struct OwnExperts {
  index_t first = 0, count = 0, all = 0;
};

inline void check_expert(i32 id, index_t all) {
  if (id != no_expert && (id < 0 || id >= all))
    fail("[dispatch] a token is routed to expert ", id, ", but ", all, " are declared (MoELayer's expert_count)");
}

/// ids [n] -> offsets [count + 1], and the row of every choice in the order of experts, then of choices; -1 for a choice
/// of no expert, or of none of these.
inline void number_rows(const i32* ids, index_t n, const OwnExperts& own, i32* offsets, i32* positions) {
  std::fill_n(offsets, own.count + 1, 0);
  const auto mine = [&](index_t i) { return ids[i] >= own.first && ids[i] < own.first + own.count; };
  for (index_t i = 0; i < n; ++i) {
    check_expert(ids[i], own.all);
    if (mine(i)) ++offsets[ids[i] - own.first + 1];
  }
  for (index_t e = 0; e < own.count; ++e) offsets[e + 1] += offsets[e];
  std::vector<i32> next(offsets, offsets + own.count);
  for (index_t i = 0; i < n; ++i)
    positions[i] = mine(i) ? next[static_cast<std::size_t>(ids[i] - own.first)]++ : no_expert;
}

/// out = the sum over a token's k choices, in order, of weight · row; zeros where it has none.
inline void sum_choices(const f32* rows, const i32* positions, const f32* weights, index_t k, index_t width, f32* out) {
  bool first = true;
  for (index_t j = 0; j < k; ++j) {
    if (positions[j] == no_expert) continue;
    const f32 w = weights[j];
    const f32* in = rows + positions[j] * width;
    if (first)
      for (index_t i = 0; i < width; ++i) out[i] = w * in[i];
    else
      for (index_t i = 0; i < width; ++i) out[i] += w * in[i];
    first = false;
  }
  if (first) std::fill_n(out, width, 0.0f);
}

}  // namespace tess::host
