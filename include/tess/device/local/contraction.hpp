// How a product of two local arrays with any dimensions summed walks through them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "strided.hpp"

namespace tess::local {

/// A list of dimensions and how each walks through the left operand, the right one and the result.
struct Walk {
  int rank = 0;
  Ranks extent{}, lhs{}, rhs{}, out{};

  void push(index_t n, index_t l, index_t r, index_t o) {
    const auto i = static_cast<std::size_t>(rank++);
    extent[i] = n, lhs[i] = l, rhs[i] = r, out[i] = o;
  }
  constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[static_cast<std::size_t>(d)];
    return n;
  }
};

/// Dimensions of both operands and the result, of the left and the result, of the right and the result, and the summed.
struct ContractionWalks {
  Walk batch, rows, columns, summed;
};

/// The labels sorted by where they occur.
template <class Rule>
ContractionWalks contraction_walks(const Window& a, const Window& b, const Window& c) {
  ContractionWalks w;
  const auto add = [&](char label) {
    const int l = Rule::lhs.find(label), r = Rule::rhs.find(label), o = Rule::out.find(label);
    const auto stride = [](const Window& v, int d) { return d < 0 ? 0 : v.stride[static_cast<std::size_t>(d)]; };
    const index_t n = l < 0 ? b.extent[static_cast<std::size_t>(r)] : a.extent[static_cast<std::size_t>(l)];
    Walk& list = o < 0 ? w.summed : l < 0 ? w.columns : r < 0 ? w.rows : w.batch;
    list.push(n, stride(a, l), stride(b, r), stride(c, o));
  };
  for (int d = 0; d < Rule::lhs.rank; ++d) add(Rule::lhs[d]);
  for (int d = 0; d < Rule::rhs.rank; ++d)
    if (Rule::lhs.find(Rule::rhs[d]) < 0) add(Rule::rhs[d]);
  return w;
}

}  // namespace tess::local
