// matmul: x [..., K] times w [K, N]. Contracted dimensions are sharded alike, and the sum over shards stays pending.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/device.hpp"
#include "../sharding/rules/contraction.hpp"

namespace tess {

template <class Lhs, class Rhs>
struct contracted_extents_differ {
  static_assert(detail::always_false<Lhs>,
                "[matmul] the last dimension of the left operand and the first of the right one have "
                "different extents");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct contracted_dimensions_are_sharded_differently {
  static_assert(detail::always_false<Lhs>,
                "[matmul] the contracted dimensions are sharded differently: reshard<> the left operand to "
                "contracting_spec<X, W>, or the right one");
  static constexpr bool ok = true;
};
template <class Operand>
struct operand_is_still_partial {
  static_assert(detail::always_false<Operand>,
                "[matmul] an operand is still Partial, so every addend would be multiplied: reduce() or reshard<> it "
                "first (einsum takes one pending operand)");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct operands_live_on_different_meshes {
  static_assert(detail::always_false<Lhs>, "[sharding] the operands live on different meshes");
  static constexpr bool ok = true;
};
template <class Lhs, class Rhs>
struct result_would_use_a_mesh_axis_twice {
  static_assert(detail::always_false<Lhs>,
                "[matmul] a mesh axis shards a free dimension of the left operand and a dimension of the right "
                "one: reshard<> the left operand to contracting_spec<X, W>");
  static constexpr bool ok = true;
};

namespace detail {

enum class MatmulFault { none, meshes, lhs_partial, rhs_partial, extents, sharding, axis_twice };
struct MatmulVerdict {
  MatmulFault fault = MatmulFault::none;
  SpecValue result{};
};

/// The rule of contractions (sharding/rules/contraction.hpp), stricter: operands are taken as they lie, names and all.
/// Neither is sliced, because a slice of packed weights is a repacking, and nothing pending is multiplied, because each
/// addend would cost a product. Leading dimensions of w (experts) take no part.
constexpr MatmulVerdict judge_matmul(const MeshValue& m, const SpecValue& x, const SpecValue& w) {
  if (x.partial) return {MatmulFault::lhs_partial};
  if (w.partial) return {MatmulFault::rhs_partial};
  SpecValue matrix;
  matrix.rank = 2;
  matrix[0] = w[w.rank - 2], matrix[1] = w[w.rank - 1];
  const rules::ContractionVerdict v = rules::matmul(m, x, matrix);
  if (v.fault == rules::ContractionFault::sharded_differently || !(x[x.rank - 1] == matrix[0]))
    return {MatmulFault::sharding};
  const bool as_they_lie = v.lhs == x && v.rhs == matrix;  // an axis of size 1 that stood twice was dropped
  if (v.fault != rules::ContractionFault::none || !as_they_lie) return {MatmulFault::axis_twice};
  return {MatmulFault::none, v.result};
}
constexpr bool extents_agree(index_t a, index_t b) { return a == b || a == dyn || b == dyn; }

template <class X, class W>
constexpr MatmulVerdict matmul_verdict() {
  if (!std::is_same_v<typename X::mesh, typename W::mesh>) return {MatmulFault::meshes};
  if (!extents_agree(static_extent<typename X::shape>(X::rank - 1), static_extent<typename W::shape>(W::rank - 2)))
    return {MatmulFault::extents};
  return judge_matmul(mesh_value<typename X::mesh>, X::sharding, W::sharding);
}
template <class X, class W>
struct contracting {
  static constexpr SpecValue value = [] {
    const DimAxes k = W::sharding[W::rank - 2], n = W::sharding[W::rank - 1];
    SpecValue s = X::sharding.without(k.mask() | n.mask());
    s.partial = 0;
    s[s.rank - 1] = k;
    return s;
  }();
};
/// A refused product has the spec that the remedy would give, so that a mistake is reported once.
template <class X, class W>
struct matmul_result {
  static constexpr SpecValue value = [] {
    constexpr MatmulVerdict verdict = matmul_verdict<X, W>();
    if (verdict.fault == MatmulFault::none) return verdict.result;
    SpecValue whole;
    whole.rank = X::rank;
    if (verdict.fault == MatmulFault::meshes) return whole;
    SpecValue w = W::sharding;
    w.partial = 0;
    return judge_matmul(mesh_value<typename X::mesh>, contracting<X, W>::value, w).result;
  }();
};

template <class X, class W>
constexpr auto matmul_fact_of() {
  constexpr MatmulFault fault = matmul_verdict<X, W>().fault;
  using SX = typename X::spec;
  using SW = typename W::spec;
  if constexpr (fault == MatmulFault::meshes)
    return std::type_identity<operands_live_on_different_meshes<lhs<typename X::mesh>, rhs<typename W::mesh>>>{};
  else if constexpr (fault == MatmulFault::lhs_partial) return std::type_identity<operand_is_still_partial<lhs<SX>>>{};
  else if constexpr (fault == MatmulFault::rhs_partial) return std::type_identity<operand_is_still_partial<rhs<SW>>>{};
  else if constexpr (fault == MatmulFault::extents)
    return std::type_identity<contracted_extents_differ<lhs<typename X::shape>, rhs<typename W::shape>>>{};
  else if constexpr (fault == MatmulFault::sharding)
    return std::type_identity<contracted_dimensions_are_sharded_differently<lhs<SX>, rhs<SW>>>{};
  else if constexpr (fault == MatmulFault::axis_twice)
    return std::type_identity<result_would_use_a_mesh_axis_twice<lhs<SX>, rhs<SW>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X, class W>
using matmul_fact = typename decltype(matmul_fact_of<X, W>())::type;

template <class S, index_t N, int... D>
auto replace_last(std::integer_sequence<int, D...>) -> Shape<(D == S::rank - 1 ? N : static_extent<S>(D))...>;
/// S with its last extent replaced by N.
template <class S, index_t N>
using with_last = decltype(replace_last<S, N>(std::make_integer_sequence<int, S::rank>{}));

template <AnyShape To, AnyShape From>
constexpr Extents<To> extents_with_last(const Extents<From>& e, index_t last) {
  auto all = e.array();
  all.back() = last;
  return Extents<To>::from(all);
}
}  // namespace detail

template <class X, class W>
concept MatmulCompatible = AnyTensor<X> && AnyTensor<W> && std::is_same_v<detail::matmul_fact<X, W>, nothing_wrong>;

/// The spec in which X can be multiplied with W where it lies: its last dimension as W's contracted one, no axis of W
/// elsewhere. `matmul(dev, reshard<contracting_spec<X, W>>(dev, x), w)` moves activations and leaves weights at rest
/// (2-D weight-stationary).
template <AnyTensor X, AnyTensor W>
using contracting_spec = spec_type<typename X::mesh, detail::contracting<X, W>>;

/// x [..., K] · w [K, N] -> Y [..., N]. No bytes move.
///   P<b..., k> · P<k, n> -> P<b..., n, Partial<k>>; without an axis on K there is no Partial.
/// X is f32 or bf16; W is f32, bf16, q8, plain or packed; sums are taken in f32, and Y (f32) is rounded once if it is
/// bf16.
template <class Y = f32, class D, AnyTensor X, AnyTensor W>
constexpr auto matmul(D& dev, const X& x, const W& w) {
  static_assert(detail::matmul_fact<X, W>::ok);
  static_assert(W::rank == 2,
                "[matmul] the right operand is [K, N]; experts [E, K, N] are for grouped tokens (ops/experts.hpp)");
  using S = detail::with_last<typename X::shape, detail::static_extent<typename W::shape>(W::rank - 1)>;
  using R = ShardedTensor<Y, S, typename X::mesh, spec_type<typename X::mesh, detail::matmul_result<X, W>>,
                          typename X::device>;
  if constexpr (!MatmulCompatible<X, W>) {
    return R{};
  } else {
    if (x.extent(X::rank - 1) != w.extent(0))
      fail("[matmul] contracted_extents_differ: the left operand's last dimension has extent ", x.extent(X::rank - 1),
           ", the right operand's first ", w.extent(0));
    R y = make<R>(dev, detail::extents_with_last<S>(x.extents(), w.extent(1)));
    TESS_VERB(dev, matmul, y, x, w);
    return y;
  }
}

}  // namespace tess
