// Embedding: token ids to vectors, and, tied, vectors to logits.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../ops/reshard.hpp"
#include "../ops/take.hpp"
#include "parameters.hpp"

namespace tess::nn {

/// table [V, D] of f32 or bf16, or of table<bf16> where it is the head as well. ids i32 [B, T] -> [B, T, D] of the
/// table's type, f32 of table<bf16>; an axis on D gives a column shard, an axis on V a pending sum (ops/take.hpp).
template <AnyTensor Rows>
struct Embedding {
  Rows table{};

  template <class D, class Ids>
  constexpr auto operator()(D& dev, const Ids& ids) const {
    return take(dev, table, ids);
  }
  /// The tied head: x [B, T, D] -> f32 [B, T, V], the sum over D's axes finished into Out.
  template <AnySpec Out, class D, class X>
  constexpr auto attend(D& dev, const X& x) const {
    return reshard<Out>(dev, matmul_rows(dev, reshard<row_contracting_spec<X, Rows>>(dev, x), table));
  }
  template <class F>
  constexpr void parameters(const Scope& scope, F&& f) {
    f(scope / "embeddings", table);
  }
};

}  // namespace tess::nn
