// dot_general, einsum and matmul as the rows of explicit_ops.csv ask: an equation, and the specs of two operands.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/sharding/rules/contraction.hpp>

#include "support/jax_rows.hpp"

namespace support::jax {

/// "mk,kn->mn"
struct Equation {
  tess::rules::DimLabels lhs, rhs, out;
};
inline Equation parse_equation(const std::string& text) {
  Equation e;
  tess::rules::DimLabels* at = &e.lhs;
  for (const char c : text)
    if (c == ',') at = &e.rhs;
    else if (c == '>') at = &e.out;
    else if (c == ' ') break;
    else if (c != '-') at->push(c);
  return e;
}

inline std::optional<Answer> contraction(const JaxRow& row) {
  if (row.op != "dot_general" && row.op != "einsum" && row.op != "matmul") return {};
  const Equation e = parse_equation(row.params.substr(0, row.params.find_first_of(", ", row.params.find("->"))));
  const auto v = tess::rules::contraction(row.on(), row.operands[0], e.lhs, row.operands[1], e.rhs, e.out);
  using Fault = tess::rules::ContractionFault;
  const bool pending = row.operands[0].partial || row.operands[1].partial;
  const JaxClass why = !row.marked   ? JaxClass::none
                       : pending     ? JaxClass::refuses_linear
                       : row.refused ? JaxClass::refuses_contraction
                                     : JaxClass::hidden_collective;  // a one-sided contraction, here too
  return v.fault == Fault::none ? Answer::accept(v.result, why) : Answer::refuse(why);
}

}  // namespace support::jax
