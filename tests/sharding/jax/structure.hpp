// Our answers to the structural operations of explicit_ops.csv: transpose … reshape, slice, concatenate, sort, one_hot.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/sharding/rules/concatenate.hpp>
#include <tess/sharding/rules/reshape.hpp>

#include "support/jax_rows.hpp"

namespace support::jax {

namespace structural {

using tess::rules::Acts;
using tess::rules::AlongFault;
using tess::rules::ShapeValue;

inline ShapeValue shape(const std::vector<index_t>& extents) {
  ShapeValue s;
  for (const index_t n : extents) s.push(n);
  return s;
}
inline ShapeValue filled(int rank, index_t n) {
  ShapeValue s;
  for (int d = 0; d < rank; ++d) s.push(n);
  return s;
}
/// The numbers behind "key=" in the parameters, "axis=1 sizes=2,2,4"; the separators are ',' and 'x'.
inline std::vector<index_t> numbers(const std::string& params, const std::string& key) {
  std::vector<index_t> found;
  std::size_t at = params.find(key + "=");
  if (at == params.npos) return found;
  at += key.size() + 1;
  while (at < params.size() && (std::isdigit(params[at]) || params[at] == '-')) {
    std::size_t used = 0;
    found.push_back(std::stol(params.substr(at), &used));
    at += used;
    if (at < params.size() && (params[at] == ',' || params[at] == 'x')) ++at;
  }
  return found;
}
inline int number(const std::string& params, const std::string& key) {
  return static_cast<int>(numbers(params, key).at(0));
}
inline unsigned bits(const std::vector<index_t>& dims) {
  unsigned mask = 0;
  for (const index_t d : dims) mask |= 1u << d;
  return mask;
}

/// `why` matters on rows with pending operands only, of which the table does not know what is local.
inline Answer along(const JaxRow& row, unsigned dims, Acts acts = Acts::moves, std::size_t results = 1) {
  const auto v = tess::rules::along(row.on(), row.operands[0], dims, acts);
  if (v.fault != AlongFault::none)
    return Answer::refuse(!row.marked                      ? JaxClass::none
                          : v.fault == AlongFault::pending ? JaxClass::wrong_value
                                                           : JaxClass::hidden_exchange_of_slices);
  return Answer::accept(std::vector<SpecValue>(results, v.result),
                        row.marked ? JaxClass::refuses_linear : JaxClass::none);
}
/// The same, and then the dimensions in `gone` disappear.
inline Answer without(Answer a, unsigned gone) {
  for (SpecValue& s : a.results) s = tess::rules::drop(s, gone);
  return a;
}

inline Answer slice(const JaxRow& row, const ShapeValue& start, const ShapeValue& limit, const ShapeValue& stride) {
  return along(row, tess::rules::sliced_dims(row.on(), row.operands[0], shape(row.shapes[0]), start, limit, stride));
}
/// "x[:, 0]": a number takes one position and drops the dimension, "-1:" keeps it.
inline Answer index(const JaxRow& row) {
  const int rank = row.operands[0].rank;
  const ShapeValue x = shape(row.shapes[0]);
  ShapeValue start = filled(rank, 0), limit = x;
  unsigned gone = 0;
  const std::string inside = row.params.substr(2, row.params.find(']') - 2);
  int d = 0;
  for (const std::string& item : parse_list(inside, ", ")) {
    if (item != ":") {
      const index_t n = std::stol(item);
      start[d] = n < 0 ? x[d] + n : n;
      if (item.back() != ':') limit[d] = start[d] + 1, gone |= 1u << d;
    }
    ++d;
  }
  return without(slice(row, start, limit, filled(rank, 1)), gone);
}
inline Answer pad(const JaxRow& row) {
  std::vector<tess::rules::Padding> pads(row.shapes[0].size());
  bool zeros = true;
  if (row.params.rfind("low,high,interior=", 0) == 0) {
    std::size_t d = 0;
    for (const std::string& item : parse_list(row.params.substr(18), " ")) {
      const auto n = numbers("n=" + item, "n");
      pads.at(d++) = {n.at(0), n.at(1), n.at(2)};
    }
  } else {
    pads[0].high = number(row.params, "high");
    zeros = row.params.find("value=") == row.params.npos;
  }
  const auto& x = row.operands[0];
  return along(row, tess::rules::padded_dims(row.on(), x, shape(row.shapes[0]), pads.data()),
               tess::rules::padding_acts(x, zeros));
}
inline Answer split(const JaxRow& row) {
  const bool halves = row.params.rfind("two halves", 0) == 0;
  const std::size_t pieces = halves ? 2 : numbers(row.params, "sizes").size();
  return along(row, pieces == 1 ? 0 : 1u << (halves ? 0 : number(row.params, "axis")), Acts::moves, pieces);
}
inline Answer concatenate(const JaxRow& row, bool stacked) {
  const int at = number(row.params, "axis");
  std::vector<SpecValue> x = row.operands;
  if (stacked)
    for (SpecValue& s : x) s = tess::rules::insert(s, at);
  const auto v = tess::rules::concatenate(row.on(), x.data(), static_cast<int>(x.size()), at);
  if (v.fault != tess::rules::ConcatenateFault::none)
    return Answer::refuse(row.marked ? JaxClass::hidden_exchange_of_slices : JaxClass::none);
  return Answer::accept(v.result, row.marked ? JaxClass::refuses_refinement : JaxClass::none);
}
inline Answer update_slice(const JaxRow& row) {
  const auto v = tess::rules::update_slice(row.on(), row.operands[0], row.operands[1],
                                           tess::rules::window_dims(shape(row.shapes[0]), shape(row.shapes[1])));
  return v.fault == tess::rules::ConcatenateFault::none ? Answer::accept(v.result) : Answer::refuse();
}
inline Answer reshape(const JaxRow& row) {
  const auto v =
      tess::rules::reshape(row.on(), shape(row.shapes[0]), row.operands[0], shape(numbers(row.params, "to")));
  const JaxClass hides = row.marked ? JaxClass::hidden_exchange_of_reshape : JaxClass::none;
  return v.fault == tess::rules::ReshapeFault::none
             ? Answer::accept(v.result, row.marked ? JaxClass::refuses_reshape : JaxClass::none)
             : Answer::refuse(hides);
}

}  // namespace structural

inline std::optional<Answer> structure(const JaxRow& row) {
  using namespace structural;
  if (row.operands.empty()) return {};
  const auto& p = row.params;
  const SpecValue& x = row.operands.at(0);
  const auto axis = [&] { return 1u << number(p, "axis"); };
  if (row.op == "transpose") return Answer::accept(tess::rules::transpose(x, shape(numbers(p, "perm"))));
  if (row.op == "reshape") return reshape(row);
  if (row.op == "expand_dims") return Answer::accept(tess::rules::insert(x, number(p, "dim")));
  if (row.op == "squeeze") return Answer::accept(tess::rules::drop(x, bits(numbers(p, "dims"))));
  if (row.op == "concatenate") return concatenate(row, false);
  if (row.op == "stack") return concatenate(row, true);
  if (row.op == "unstack")
    return without(along(row, axis(), Acts::moves,
                         static_cast<std::size_t>(row.shapes[0].at(static_cast<std::size_t>(number(p, "axis"))))),
                   axis());
  if (row.op == "split") return split(row);
  if (row.op == "index") return index(row);
  if (row.op == "slice") {
    if (p.rfind("first half", 0) == 0) return along(row, 1);
    return slice(row, shape(numbers(p, "start")), shape(numbers(p, "limit")), shape(numbers(p, "stride")));
  }
  if (row.op == "dynamic_slice")
    return along(row, tess::rules::window_dims(shape(row.shapes[0]), shape(numbers(p, "sizes"))));
  if (row.op == "dynamic_update_slice") return update_slice(row);
  if (row.op == "pad") return pad(row);
  if (row.op == "rev") return along(row, bits(numbers(p, "dims")));
  if (row.op == "roll") return along(row, axis());
  if (row.op == "rotate_half") return along(row, 1u << (x.rank - 1), Acts::adds);
  if (row.op == "tile") {
    unsigned tiled = 0;
    const auto reps = numbers(p, "reps");
    for (std::size_t d = 0; d < reps.size(); ++d)
      if (reps[d] != 1) tiled |= 1u << d;
    return along(row, tiled);
  }
  if (row.op == "repeat") return along(row, 0);  // an element's copies stay where it is
  if (row.op == "sort" || row.op == "argsort") return along(row, axis(), Acts::decides);
  if (row.op == "top_k") return along(row, axis(), Acts::decides, 2);
  if (row.op == "cumsum") return along(row, axis(), Acts::adds);
  if (row.op == "one_hot") return Answer::accept(tess::rules::insert(x, x.rank));
  return {};
}

}  // namespace support::jax
