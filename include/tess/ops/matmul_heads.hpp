// matmul_heads: every head of x by a matrix of its own. Heads are sharded alike, and none moves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "einsum.hpp"

namespace tess {

template <class Lhs, class Rhs>
struct head_and_its_matrix_lie_apart {
  static_assert(
      detail::always_false<Lhs>,
      "[matmul_heads] a head and its matrix lie on the same devices, with their contracted dimensions sharded "
      "alike, no axis used twice and nothing pending: x P<b, t, h, k> by w P<h, k, n>. reshard<> x: a slice "
      "of packed weights would be a repacking");
  static constexpr bool ok = true;
};

namespace detail {
/// [B, T, H, K] by [H, K, N].
using EachHead = Equation<Labels<'b', 't', 'h', 'k'>, Labels<'h', 'k', 'n'>, Labels<'b', 't', 'h', 'n'>>;

/// The rule of contractions, as strict as matmul's: operands are taken as they lie, names and all, and finished.
template <class X, class W>
constexpr bool heads_lie_together() {
  constexpr rules::ContractionVerdict v = Product<EachHead, X, W>::verdict;
  return v.fault == rules::ContractionFault::none && v.lhs == X::sharding && v.rhs == W::sharding &&
         !X::sharding.partial && !W::sharding.partial;
}

template <class X, class W>
constexpr auto matmul_heads_fact_of() {
  if constexpr (!std::is_same_v<typename X::mesh, typename W::mesh> || unequal_pair<EachHead, X, W>() >= 0)
    return std::type_identity<product_fact<EachHead, X, W>>{};
  else if constexpr (!heads_lie_together<X, W>())
    return std::type_identity<head_and_its_matrix_lie_apart<lhs<typename X::spec>, rhs<typename W::spec>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X, class W>
using matmul_heads_fact = typename decltype(matmul_heads_fact_of<X, W>())::type;

/// Of a refused product: what the remedy would give, so that a mistake is reported once.
template <class X, class W>
struct heads_result {
  static constexpr SpecValue value = [] {
    if (std::is_same_v<matmul_heads_fact<X, W>, nothing_wrong>) return Product<EachHead, X, W>::verdict.result;
    SpecValue s = X::sharding;
    s.partial = 0;
    if (!std::is_same_v<typename X::mesh, typename W::mesh>) return s;
    s = s.without(W::sharding.used());
    s[2] = W::sharding[0], s[3] = W::sharding[2];
    return s;
  }();
};
}  // namespace detail

/// x [B, T, H, K] · w [H, K, N] -> Y [B, T, H, N]: head h of x by w[h]. No bytes move.
///   P<b, t, h, k> · P<h, k, n> -> P<b, t, h, n, Partial<k>>; without an axis on K there is no Partial.
/// X is f32 or bf16; W is f32, bf16 or q8, plain or packed; sums are taken in f32, and Y (f32) is rounded once if it is
/// bf16. Throws Error where run-time extents of heads or contracted dimensions differ.
template <class Y = f32, class D, AnyTensor X, AnyTensor W>
constexpr auto matmul_heads(D& dev, const X& x, const W& w) {
  static_assert(X::rank == 4 && W::rank == 3, "[matmul_heads] x is [batch, tokens, heads, K], and w [heads, K, N]");
  using fact = detail::matmul_heads_fact<X, W>;
  static_assert(fact::ok);
  using S = detail::with_last<typename X::shape, detail::static_extent<typename W::shape>(2)>;
  using R = ShardedTensor<Y, S, typename X::mesh, spec_type<typename X::mesh, detail::heads_result<X, W>>,
                          typename X::device>;
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return R{};
  } else {
    for (const int d : {2, 3})
      if (x.extent(d) != w.extent(d - 2))
        fail("[matmul_heads] paired_dimensions_have_different_extents: dimension ", d, " of x has extent ", x.extent(d),
             ", dimension ", d - 2, " of the weights ", w.extent(d - 2));
    R y = make<R>(dev, detail::extents_with_last<S>(x.extents(), w.extent(2)));
    TESS_VERB(dev, matmul_heads, y, x, w);
    return y;
  }
}

}  // namespace tess
