// Every family of rules that answers rows of explicit_ops.csv. A family is one header here and one line below.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "contraction.hpp"
#include "elementwise.hpp"
#include "gather.hpp"
#include "reduction.hpp"
#include "resharding.hpp"
#include "structure.hpp"

namespace support::jax {

struct Family {
  const char* name;
  std::optional<Answer> (*answer)(const JaxRow&);  // nothing: not a row of this family
};

inline constexpr Family families[] = {
    {"contraction", contraction}, {"elementwise", elementwise}, {"reduction", reduction},
    {"gather", gather},           {"structure", structure},     {"resharding", resharding},
};

/// What the library answers, whichever family it is.
inline std::optional<Answer> answer(const JaxRow& row) {
  for (const Family& f : families)
    if (auto ours = f.answer(row)) return ours;
  return {};
}

}  // namespace support::jax
