// einsum and dot_general: products with any batch and summed dimensions, every device with what it holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/device.hpp"
#include "../sharding/rules/contraction.hpp"
#include "matmul.hpp"

namespace tess {

/// The dimensions of one tensor, a letter each: `Labels<'b', 't', 'k'>`.
template <char... C>
struct Labels {
  static_assert(sizeof...(C) <= max_rank, "[einsum] a tensor has at most tess::max_rank dimensions");
  static constexpr rules::DimLabels value = [] {
    rules::DimLabels all;
    (all.push(C), ...);
    return all;
  }();
};

/// For dot_general: dimensions by number, of the left operand and of the right one.
template <int... D>
struct Dims {
  static constexpr std::array<int, sizeof...(D)> value{D...};
};
template <class Lhs = Dims<>, class Rhs = Dims<>>
struct Contract {};
template <class Lhs = Dims<>, class Rhs = Dims<>>
struct Batch {};

// ---- the errors

template <class Lhs, class Rhs, class Result>
struct labels_do_not_fit_the_operands {
  static_assert(detail::always_false<Lhs>,
                "[einsum] each operand has one label a dimension, none twice, and the result's labels are among them");
  static constexpr bool ok = true;
};
template <class Contracted, class Batched, class Lhs, class Rhs>
struct dimension_numbers_do_not_fit_the_operands {
  static_assert(
      detail::always_false<Contracted>,
      "[dot_general] Contract and Batch pair as many dimensions of the left operand with dimensions of the right "
      "one; each exists, and stands once; and the result has at most tess::max_rank dimensions");
  static constexpr bool ok = true;
};
template <class Lhs, class LhsDim, class Rhs, class RhsDim>
struct paired_dimensions_have_different_extents {
  static_assert(detail::always_false<Lhs>, "[einsum] two dimensions with one label have different extents");
  static constexpr bool ok = true;
};
template <class Lhs, class LhsDim, class Rhs, class RhsDim>
struct paired_dimensions_are_sharded_differently {
  static_assert(detail::always_false<Lhs>,
                "[einsum] two dimensions with one label are sharded over different axes, or in another order, and "
                "neither is a refinement of the other: reshard<> one operand");
  static constexpr bool ok = true;
};
template <class Axis, class Lhs, class Rhs>
struct product_would_use_a_mesh_axis_twice {
  static_assert(detail::always_false<Axis>,
                "[einsum] a mesh axis shards dimensions with different labels, so a device holds parts that do not "
                "meet: gather<> one of the operands over it");
  static constexpr bool ok = true;
};
template <class Axis, class Lhs, class Rhs>
struct product_of_two_pending_sums {
  static_assert(
      detail::always_false<Axis>,
      "[einsum] both operands are Partial over one mesh axis, and (a + b)(c + d) is not ac + bd: reduce() one "
      "of them");
  static constexpr bool ok = true;
};
template <class Spec>
struct product_of_a_pending_maximum {
  static_assert(detail::always_false<Spec>,
                "[einsum] the operand is PartialMax or PartialMin, and max(a, b) c is not max(ac, bc): reduce() it");
  static constexpr bool ok = true;
};
template <class Axis, class Lhs, class Rhs>
struct pending_axis_shards_the_other_operand {
  static_assert(detail::always_false<Axis>,
                "[einsum] one operand is Partial over a mesh axis that shards the product, so an addend would meet one "
                "shard only: reduce() it first");
  static constexpr bool ok = true;
};

namespace detail {

/// An equation: labels of the left operand, of the right one and of the result.
template <class L, class R, class O>
struct Equation {
  static constexpr rules::DimLabels lhs = L::value, rhs = R::value, out = O::value;
};

/// Labels of dot_general's dimension numbers: 'a', 'b', ... for batch, then summed, then free dimensions.
struct ThreeLabels {
  rules::DimLabels lhs, rhs, out;
};
template <int LhsRank, int RhsRank, class LC, class RC, class LB, class RB>
constexpr ThreeLabels dot_general_labels() {
  ThreeLabels e;
  e.lhs.rank = LhsRank, e.rhs.rank = RhsRank;
  char next = 'a';
  const auto at = [](rules::DimLabels& l, int d) -> char& { return l.label[static_cast<std::size_t>(d)]; };
  for (std::size_t i = 0; i < LB::value.size(); ++i, ++next) {
    at(e.lhs, LB::value[i]) = at(e.rhs, RB::value[i]) = next;
    e.out.push(next);
  }
  for (std::size_t i = 0; i < LC::value.size(); ++i, ++next) at(e.lhs, LC::value[i]) = at(e.rhs, RC::value[i]) = next;
  for (rules::DimLabels* l : {&e.lhs, &e.rhs})
    for (int d = 0; d < l->rank; ++d)
      if ((*l)[d] == 0) e.out.push(at(*l, d) = next++);
  return e;
}
template <int Rank, int... D>
constexpr bool distinct_dims() {
  unsigned seen = 0;
  bool distinct = true;
  ((distinct = distinct && D >= 0 && D < Rank && !(seen >> D & 1u), seen |= D >= 0 && D < Rank ? 1u << D : 0u), ...);
  return distinct;
}
template <class X, class W, class Contracted, class Batched>
struct DotGeneral;
template <class X, class W, int... LC, int... RC, int... LB, int... RB>
struct DotGeneral<X, W, Contract<Dims<LC...>, Dims<RC...>>, Batch<Dims<LB...>, Dims<RB...>>> {
  static constexpr int rank = X::rank + W::rank - static_cast<int>(sizeof...(LC) + sizeof...(RC) + sizeof...(LB));
  static constexpr bool fits = sizeof...(LC) == sizeof...(RC) && sizeof...(LB) == sizeof...(RB) && rank <= max_rank &&
                               distinct_dims<X::rank, LB..., LC...>() && distinct_dims<W::rank, RB..., RC...>();
  static constexpr ThreeLabels all = [] {
    if constexpr (fits)
      return dot_general_labels<X::rank, W::rank, Dims<LC...>, Dims<RC...>, Dims<LB...>, Dims<RB...>>();
    else return ThreeLabels{};
  }();
  static constexpr rules::DimLabels lhs = all.lhs, rhs = all.rhs, out = all.out;
};

constexpr bool labels_fit(const rules::DimLabels& l, const rules::DimLabels& r, const rules::DimLabels& out,
                          int lhs_rank, int rhs_rank) {
  for (const rules::DimLabels* list : {&l, &r, &out})
    for (int d = 0; d < list->rank; ++d)
      if (list->find((*list)[d]) != d) return false;
  for (int d = 0; d < out.rank; ++d)
    if (l.find(out[d]) < 0 && r.find(out[d]) < 0) return false;
  return l.rank == lhs_rank && r.rank == rhs_rank;
}

/// The dimension of the left operand that differs from its partner in extent; -1: none does.
template <class E, class X, class W>
constexpr int unequal_pair() {
  for (int d = 0; d < X::rank; ++d)
    if (const int e = E::rhs.find(E::lhs[d]); e >= 0)
      if (!extents_agree(static_extent<typename X::shape>(d), static_extent<typename W::shape>(e))) return d;
  return -1;
}

/// Sharding of the product, and how the operands are read: what Dry bills and Host computes.
template <class E, class X, class W>
struct Product : E {
  static constexpr rules::ContractionVerdict verdict =
      rules::contraction(mesh_value<typename X::mesh>, X::sharding, E::lhs, W::sharding, E::rhs, E::out);
  static constexpr SpecValue value = verdict.fault == rules::ContractionFault::none ? verdict.result : [] {
    SpecValue whole;  // of a refused product: no axis, so that a mistake is reported once
    whole.rank = E::out.rank;
    return whole;
  }();
};

template <class E, class X, class W>
constexpr auto product_fact_of() {
  using M = typename X::mesh;
  using SX = typename X::spec;
  using SW = typename W::spec;
  if constexpr (!std::is_same_v<M, typename W::mesh>) {
    return std::type_identity<operands_live_on_different_meshes<lhs<M>, rhs<typename W::mesh>>>{};
  } else if constexpr (constexpr int unequal = unequal_pair<E, X, W>(); unequal >= 0) {
    return std::type_identity<paired_dimensions_have_different_extents<
        lhs<typename X::shape>, dim<unequal>, rhs<typename W::shape>, dim<E::rhs.find(E::lhs[unequal])>>>{};
  } else {
    constexpr rules::ContractionVerdict v = Product<E, X, W>::verdict;
    using Fault = rules::ContractionFault;
    if constexpr (v.fault == Fault::none) return std::type_identity<nothing_wrong>{};
    else if constexpr (v.fault == Fault::sharded_differently)
      return std::type_identity<
          paired_dimensions_are_sharded_differently<lhs<SX>, dim<v.lhs_dim>, rhs<SW>, dim<v.rhs_dim>>>{};
    else if constexpr (v.fault == Fault::both_pending)
      return std::type_identity<
          product_of_two_pending_sums<over<typename M::template axis_name<v.axis>>, lhs<SX>, rhs<SW>>>{};
    else if constexpr (v.fault == Fault::pending_is_no_sum)
      return std::type_identity<
          product_of_a_pending_maximum<spec<std::conditional_t<X::sharding.kind == Reduction::sum, SW, SX>>>>{};
    else if constexpr (v.fault == Fault::pending_axis_is_used)
      return std::type_identity<
          pending_axis_shards_the_other_operand<over<typename M::template axis_name<v.axis>>, lhs<SX>, rhs<SW>>>{};
    else
      return std::type_identity<
          product_would_use_a_mesh_axis_twice<over<typename M::template axis_name<v.axis>>, lhs<SX>, rhs<SW>>>{};
  }
}
template <class E, class X, class W>
using product_fact = typename decltype(product_fact_of<E, X, W>())::type;

template <class E, class X, class W>
constexpr index_t extent_of_label(int o) {
  const int d = E::lhs.find(E::out[o]), e = E::rhs.find(E::out[o]);
  const index_t n = d < 0 ? dyn : static_extent<typename X::shape>(d);
  return n != dyn || e < 0 ? n : static_extent<typename W::shape>(e);
}
template <class E, class X, class W, int... O>
auto product_shape(std::integer_sequence<int, O...>) -> Shape<extent_of_label<E, X, W>(O)...>;

/// Numbers are widened as far as the operands ask: f64, else f32 for bf16 and f32; integers stay.
template <class A, class B>
using product_number =
    std::conditional_t<std::is_same_v<A, f64> || std::is_same_v<B, f64>, f64,
                       std::conditional_t<std::is_same_v<A, i32> && std::is_same_v<B, i32>, i32, f32>>;
template <class Y, class X, class W>
using product_type =
    std::conditional_t<std::is_void_v<Y>, product_number<typename X::value_type, typename W::value_type>, Y>;

template <class T>
inline constexpr bool is_plain_number = !is_packed<T> && !is_table<T> && !is_q8<T>;

template <class Y, class E, class D, class X, class W>
constexpr auto contract(D& dev, const X& x, const W& w) {
  static_assert(is_plain_number<typename X::value_type> && is_plain_number<typename W::value_type>,
                "[einsum] the operands are plain numbers: matmul multiplies with packed and int8 weights");
  static_assert(product_fact<E, X, W>::ok);
  using S = decltype(product_shape<E, X, W>(std::make_integer_sequence<int, E::out.rank>{}));
  using M = typename X::mesh;
  if constexpr (!std::is_same_v<product_fact<E, X, W>, nothing_wrong>) {
    return ShardedTensor<product_type<Y, X, W>, S, M, P<>, typename X::device>{};
  } else {
    using Rule = Product<E, X, W>;
    using R = ShardedTensor<product_type<Y, X, W>, S, M, spec_type<M, Rule>, typename X::device>;
    std::array<index_t, static_cast<std::size_t>(S::rank)> extents{};
    for (int d = 0; d < X::rank; ++d) {
      const int e = E::rhs.find(E::lhs[d]);
      if (e >= 0 && x.extent(d) != w.extent(e))
        fail("[einsum] paired_dimensions_have_different_extents: dimension ", d, " of the left operand has extent ",
             x.extent(d), ", dimension ", e, " of the right one ", w.extent(e));
    }
    for (int o = 0; o < S::rank; ++o) {
      const int d = E::lhs.find(E::out[o]);
      extents[static_cast<std::size_t>(o)] = d >= 0 ? x.extent(d) : w.extent(E::rhs.find(E::out[o]));
    }
    R y = make<R>(dev, Extents<S>::from(extents));
    TESS_VERB(dev, contract, Rule{}, y, x, w);
    return y;
  }
}
}  // namespace detail

/// `einsum<Labels<'b', 't', 'k'>, Labels<'k', 'n'>, Labels<'b', 't', 'n'>>(dev, x, w)`: y = sum of x · w over the labels
/// that the result lacks, as numpy.einsum("btk,kn->btn"). No bytes move: see sharding/rules/contraction.hpp for the rule.
///   P<b, None, k> · P<k, n> -> P<b, None, n, Partial<k>>; a one-sided axis slices the other operand.
/// Elements f32, f64, bf16 or i32. Sums are taken in f32 (f64 or i32 where the operands ask for it), Y is that type or the
/// one asked for, rounded once. Throws Error when run-time extents of a label differ.
template <class L, class R, class Out, class Y = void, class D, AnyTensor X, AnyTensor W>
constexpr auto einsum(D& dev, const X& x, const W& w) {
  constexpr bool fit = detail::labels_fit(L::value, R::value, Out::value, X::rank, W::rank);
  static_assert(detail::holds_or<fit, labels_do_not_fit_the_operands<lhs<L>, rhs<R>, to<Out>>>::ok);
  if constexpr (fit) return detail::contract<Y, detail::Equation<L, R, Out>>(dev, x, w);
  else return x;
}

/// `dot_general<Contract<Dims<2>, Dims<1>>, Batch<Dims<0>, Dims<0>>>(dev, x, w)`: dimension numbers as jax.lax.dot_general
/// has them; the result has the batch dimensions, then the free ones of x, then those of w. The rule of einsum.
template <class Contracted, class Batched = Batch<>, class Y = void, class D, AnyTensor X, AnyTensor W>
constexpr auto dot_general(D& dev, const X& x, const W& w) {
  using Numbers = detail::DotGeneral<X, W, Contracted, Batched>;
  using Misfit =
      dimension_numbers_do_not_fit_the_operands<Contracted, Batched, lhs<typename X::shape>, rhs<typename W::shape>>;
  static_assert(detail::holds_or<Numbers::fits, Misfit>::ok);
  if constexpr (Numbers::fits) return detail::contract<Y, Numbers>(dev, x, w);
  else return x;
}

}  // namespace tess
