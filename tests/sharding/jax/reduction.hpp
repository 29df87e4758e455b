// Reductions, whole-line functions, broadcasts and new tensors as the rows of explicit_ops.csv ask.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/sharding/device_slice.hpp>
#include <tess/sharding/rules/reduction.hpp>

#include "elementwise.hpp"

namespace support::jax {

inline std::vector<int> dims_after(const std::string& params, const std::string& word) {
  std::vector<int> dims;
  std::size_t at = params.find(word);
  if (at == std::string::npos) return dims;
  for (at += word.size(); at < params.size() && params[at] >= '0' && params[at] <= '9'; ++at) {
    dims.push_back(params[at] - '0');
    if (params[++at] != ',') break;
  }
  return dims;
}

inline std::optional<tess::rules::Fold> fold_of(const std::string& op) {
  using tess::rules::Fold;
  if (op == "sum" || op == "mean") return Fold::sum;
  if (op == "max" || op == "any") return Fold::max;
  if (op == "min") return Fold::min;
  if (op == "prod" || op == "var" || op == "argmax" || op == "logsumexp") return Fold::whole;
  return {};
}

/// Counted element by element: does each term of every element of a device's result lie on exactly one device of its group,
/// the devices along the pending axes? So the README defines natural partial sums, which it lists for sum, max and min
/// without keepdims.
inline bool each_term_once(const MeshValue& m, const std::vector<index_t>& shape, const SpecValue& x, unsigned dims,
                           bool keep, const SpecValue& y) {
  const auto holds = [&](index_t device, const std::vector<index_t>& at) {  // element `at` of x
    for (int d = 0; d < x.rank; ++d) {
      const index_t mine = shape[static_cast<std::size_t>(d)] / parts(m, x[d]);
      if (at[static_cast<std::size_t>(d)] / mine != tess::shard_index(m, x[d], device)) return false;
    }
    return true;
  };
  const auto wants = [&](index_t device, const std::vector<index_t>& at) {  // the element of y that it is a term of
    for (int d = 0, to = 0; d < x.rank; ++d) {
      const bool gone = dims >> d & 1u;
      if (gone && !keep) continue;
      const index_t mine = (gone ? 1 : shape[static_cast<std::size_t>(d)]) / parts(m, y[to]);
      if ((gone ? 0 : at[static_cast<std::size_t>(d)]) / mine != tess::shard_index(m, y[to], device)) return false;
      ++to;
    }
    return true;
  };
  index_t size = 1;
  for (const index_t n : shape) size *= n;
  for (index_t device = 0; device < m.devices(); ++device)
    for (index_t i = 0; i < size; ++i) {
      std::vector<index_t> at(shape.size());
      index_t rest = i;
      for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) at[d] = rest % shape[d];
      if (!wants(device, at)) continue;
      int found = 0;
      for (index_t peer = 0; peer < m.devices(); ++peer) {
        bool in_group = true;
        for (int a = 0; a < m.rank; ++a)
          in_group = in_group && (y.partial >> a & 1u || m.coordinate(peer, a) == m.coordinate(device, a));
        found += in_group && holds(peer, at);
      }
      if (found != 1) return false;
    }
  return true;
}

inline std::optional<Answer> reduction(const JaxRow& row) {
  namespace rules = tess::rules;
  // On marked rows the table does not know what must move: a sharded line does, and JAX does it unasked.
  const JaxClass moved = row.marked && !row.refused ? JaxClass::hidden_collective : JaxClass::none;

  auto axes = dims_after(row.params, "axes=");
  if (axes.empty()) axes = dims_after(row.params, "axis=");
  const unsigned dims =
      rules::dims_of(row.operands.empty() ? 0 : row.operands[0].rank, axes.data(), static_cast<int>(axes.size())).mask;
  if (const auto fold = fold_of(row.op)) {
    const bool keep = row.params.find("keepdims") != std::string::npos;
    const auto v = rules::reduction(row.on(), row.operands[0], dims, *fold, keep);
    if (v.fault != rules::ReductionFault::none) return Answer::refuse(moved);
    Answer a = Answer::accept(v.result, row.marked && row.refused ? JaxClass::refuses_linear : moved);
    if (*fold != rules::Fold::whole && v.result.partial && !row.marked)  // mean, any, keepdims: not in `local_specs`
      a.masked = each_term_once(row.on(), row.shapes[0], row.operands[0], dims, keep, v.result);
    return a;
  }
  const auto whole = [&](unsigned lines) {
    return rules::along(row.on(), row.operands[0], lines, rules::Acts::decides);
  };
  if (row.op == "softmax") {
    const auto v = whole(dims);
    return v.fault == rules::AlongFault::none ? Answer::accept(v.result, moved) : Answer::refuse(moved);
  }
  if (row.op == "rms_norm") {
    if (whole(1u << (row.operands[0].rank - 1)).fault != rules::AlongFault::none) return Answer::refuse();
    const rules::MapOperand x[] = {map_operand(row.operands[0], row.shapes[0]),
                                   map_operand(row.operands[1], row.shapes[1])};
    const auto v = rules::elementwise(row.on(), tess::fn::Multiply::algebra, x, 2);
    return v.fault == rules::MapFault::none ? Answer::accept(v.result.spec) : Answer::refuse();
  }
  if (row.op == "broadcast_in_dim") {
    if (row.params.find("new dim 0") != std::string::npos) {
      const int to[] = {1};
      return Answer::accept(rules::broadcast_in_dim(row.operands[0], 2, to));
    }
    const auto to = dims_after(row.params, "dims=");
    const auto shape = parse_shape(row.params.substr(3, row.params.find(' ') - 3));
    return Answer::accept(rules::broadcast_in_dim(row.operands[0], static_cast<int>(shape.size()), to.data()));
  }
  if (row.op == "iota" || row.op == "full") {  // unsharded unless the caller names a spec
    SpecValue unsharded;
    unsharded.rank = row.results[0].rank;
    return Answer::accept(unsharded);
  }
  return {};
}

}  // namespace support::jax
