// The elementwise functions as the rows of explicit_ops.csv ask: a function's name, and specs and shapes of operands.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/ops/functions.hpp>

#include "support/jax_rows.hpp"

namespace support::jax {

/// What the library knows of the function of a row; nothing: the row is not about an elementwise function.
inline std::optional<tess::rules::Algebra> algebra_of(const std::string& op, const std::string& params) {
  namespace fn = tess::fn;
  const auto says = [&](const char* word) { return params.find(word) != std::string::npos; };
  const bool number = says("python scalar");
  if (op == "add") return number ? fn::Plus<float>::algebra : fn::Add::algebra;
  if (op == "mul") return number ? fn::Times<float>::algebra : fn::Multiply::algebra;
  if (op == "where") return number ? tess::rules::opaque : fn::Where::algebra;
  if (op == "select") return fn::Where::algebra;
  if (op == "sub") return fn::Subtract::algebra;
  if (op == "div") return fn::Divide::algebra;
  if (op == "maximum") return fn::Maximum::algebra;
  if (op == "neg") return fn::Negate::algebra;
  if (op == "exp") return fn::Exp::algebra;
  if (op == "tanh") return fn::Tanh::algebra;
  if (op == "clamp") return fn::Clamp<float>::algebra;
  if (op == "reduce_precision") return fn::ReducePrecision<5, 2>::algebra;
  if (op == "convert")
    return says("int32") ? fn::Convert<tess::i32, tess::f32>::algebra : fn::Convert<tess::bf16, tess::f32>::algebra;
  return {};
}

inline tess::rules::MapOperand map_operand(const SpecValue& spec, const std::vector<index_t>& shape) {
  tess::rules::MapOperand x;
  x.spec = spec;
  for (const index_t n : shape) x.shape.push(n);
  return x;
}

inline std::optional<Answer> elementwise(const JaxRow& row) {
  const auto algebra = algebra_of(row.op, row.params);
  if (!algebra) return {};
  std::vector<tess::rules::MapOperand> x;
  for (std::size_t i = 0; i < row.operands.size(); ++i) x.push_back(map_operand(row.operands[i], row.shapes[i]));
  if (row.op == "where" || row.op == "select") x[0].has_gradient = false;

  // a, b, c: (a + b) + c, as JAX traces it
  const auto apply = [&](const auto& a, const auto& b) {
    const tess::rules::MapOperand both[] = {a, b};
    return tess::rules::elementwise(row.on(), *algebra, both, 2);
  };
  tess::rules::MapVerdict v;
  if (row.params == "three operands") {
    v = apply(x[0], x[1]);
    if (v.fault == tess::rules::MapFault::none) v = apply(v.result, x[2]);
  } else {
    v = tess::rules::elementwise(row.on(), *algebra, x.data(), static_cast<int>(x.size()));
  }
  const bool accepted = v.fault == tess::rules::MapFault::none;
  JaxClass why = JaxClass::none;
  if (row.marked && accepted && row.refused) {
    const bool pending = v.result.spec.partial != 0;
    why = row.op == "where" || !pending ? JaxClass::refuses_refinement : JaxClass::refuses_linear;
  }
  const bool pending_scalar = row.shapes.back().empty() && row.operands.back().partial;
  if (row.marked && !row.refused && pending_scalar) why = JaxClass::hidden_reduction_of_scalar;
  if (row.marked && !accepted && !row.refused)
    why = row.op == "convert" ? JaxClass::wrong_value : JaxClass::hidden_reduction_of_scalar;
  return accepted ? Answer::accept(v.result.spec, why) : Answer::refuse(why);
}

}  // namespace support::jax
