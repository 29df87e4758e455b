// reshard as the rows of explicit_ops.csv ask.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/sharding/rules/resharding.hpp>

#include "support/jax_rows.hpp"

namespace support::jax {

inline std::optional<Answer> resharding(const JaxRow& row) {
  if (row.op != "reshard") return {};
  const SpecValue& from = row.operands[0];
  const SpecValue to = parse_spec(row.params.substr(row.params.find("to=") + 3), row.mesh.axes);
  if (tess::rules::reshard(row.on(), from, to).fault != tess::rules::ReshardFault::none) return Answer::refuse();
  // Out of a sum over one axis a sum over another is typed in JAX, and then its compiler aborts. Ours is carried out.
  return Answer::accept(to);
}

}  // namespace support::jax
