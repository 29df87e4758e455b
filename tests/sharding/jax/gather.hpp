// take, take_along_axis and one_hot @ table as the rows of explicit_ops.csv ask.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/sharding/rules/gather.hpp>

#include "support/jax_rows.hpp"

namespace support::jax {

inline std::optional<Answer> gather(const JaxRow& row) {
  const bool take = row.op == "take" || row.op == "take_at_get" || row.op == "one_hot_times_table";
  if (!take && row.op != "take_along_axis") return {};
  const int along = row.params.find("axis=1") == 0 ? 1 : 0;
  const auto& table = row.operands[0];
  const auto& ids = row.operands[1];
  const auto v =
      take ? tess::rules::take(row.on(), table, along, ids) : tess::rules::take_along_axis(row.on(), table, along, ids);
  if (v.fault != tess::rules::GatherFault::none) return Answer::refuse();
  Answer ours = Answer::accept(v.result);
  ours.masked = (table[along].mask() & ~row.on().trivial()) != 0;  // spread rows: a pending sum of rows and zeros
  if (row.marked) ours.why = table.partial ? JaxClass::refuses_linear : JaxClass::refuses_gather;
  return ours;
}

}  // namespace support::jax
