// Reductions of the lines of a tensor: over a sharded dimension, what adds up, or is the largest, stays pending.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <concepts>

#include "../sharding/rules/reduction.hpp"
#include "lines.hpp"
#include "map.hpp"
#include "reshard.hpp"

namespace tess {

template <class Spec, class Dim>
struct reduction_has_no_such_dimension {
  static_assert(detail::always_false<Spec>, "[reduce] there is no such dimension, or it is named twice");
  static constexpr bool ok = true;
};
template <class Spec, class Dim>
struct lines_are_not_whole {
  static_assert(
      detail::always_false<Spec>,
      "[reduce] this function needs whole lines, and the dimension is sharded: gather<> it first, or use the form "
      "with its bill, softmax_sharded, logsumexp_sharded, argmax_sharded, var_sharded, rms_norm_sharded");
  static constexpr bool ok = true;
};
template <class Spec>
struct reduction_of_a_pending_value {
  static_assert(
      detail::always_false<Spec>,
      "[reduce] the operand is still pending, and this reduction of the parts is not that of the whole (sums of sums "
      "and maxima of maxima are): reduce() it first");
  static constexpr bool ok = true;
};

/// Keeps reduced dimensions with extent 1, so that the result broadcasts against the operand.
struct KeepDims {};
inline constexpr KeepDims keep_dims{};

namespace detail {

template <class X, int... Dim>
constexpr rules::Dims dims_named() {
  const int dims[] = {(Dim < 0 ? Dim + X::rank : Dim)..., 0};
  return rules::dims_of(X::rank, dims, sizeof...(Dim));
}

/// The reduction of X over `Mask` by the rule.
template <class X, rules::Fold F, bool Keep, unsigned Mask>
struct reduced_lines {
  static constexpr rules::ReductionVerdict verdict =
      rules::reduction(mesh_value<typename X::mesh>, X::sharding, Mask, F, Keep);
  /// After a fault: whole, so that nothing cascades.
  static constexpr SpecValue value = [] {
    if (verdict.fault == rules::ReductionFault::none) return verdict.result;
    SpecValue whole;
    for (int d = 0; d < X::rank; ++d) whole.rank += Keep || !(Mask >> d & 1u);
    return whole;
  }();
  static constexpr int rank = value.rank;
  /// Of dimension d of the result: which dimension of X it was; -1: it was reduced.
  static constexpr int source(int d) {
    for (int i = 0, at = 0; i < X::rank; ++i) {
      const bool gone = Mask >> i & 1u;
      if (gone && !Keep) continue;
      if (at++ == d) return gone ? -1 : i;
    }
    return -1;
  }
  static constexpr index_t extent(int d) { return source(d) < 0 ? 1 : static_extent<typename X::shape>(source(d)); }
};
template <class R, int... D>
auto reduced_shape(std::integer_sequence<int, D...>) -> Shape<R::extent(D)...>;

template <class X, class V, int... Dim>
constexpr auto reduction_fact_of() {
  using rules::ReductionFault;
  constexpr rules::Dims dims = dims_named<X, Dim...>();
  if constexpr (!dims.ok)
    return std::type_identity<reduction_has_no_such_dimension<spec<typename X::spec>, dim<dims.wrong>>>{};
  else if constexpr (V::verdict.fault == ReductionFault::of_pending)
    return std::type_identity<reduction_of_a_pending_value<spec<typename X::spec>>>{};
  else if constexpr (V::verdict.fault == ReductionFault::not_whole)
    return std::type_identity<lines_are_not_whole<spec<typename X::spec>, dim<V::verdict.dim>>>{};
  else return std::type_identity<nothing_wrong>{};
}
/// What is wrong with reducing X by F over Dim...: nothing_wrong, or the error.
template <class X, rules::Fold F, bool Keep, int... Dim>
using reduction_fact =
    typename decltype(reduction_fact_of<X, reduced_lines<X, F, Keep, dims_named<X, Dim...>().mask>, Dim...>())::type;

template <class X, int... Dim>
constexpr index_t line_length(const X& x) {
  return (x.extent(Dim < 0 ? Dim + X::rank : Dim) * ... * index_t{1});
}
}  // namespace detail

/// f of the lines of x along Dim..., of type Y; f as in ops/lines.hpp. Every device reduces what it holds.
template <class Y, rules::Fold F, bool Keep, int... Dim, class D, class Line, AnyTensor X>
constexpr auto reduce_lines(D& dev, Line f, const X& x) {
  using fact = detail::reduction_fact<X, F, Keep, Dim...>;
  static_assert(fact::ok);
  using result = detail::reduced_lines<X, F, Keep, detail::dims_named<X, Dim...>().mask>;
  using S = decltype(detail::reduced_shape<result>(std::make_integer_sequence<int, result::rank>{}));
  using R = ShardedTensor<Y, S, typename X::mesh, spec_type<typename X::mesh, result>, typename X::device>;
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return R{};
  } else {
    std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
    for (int d = 0; d < S::rank; ++d) {
      const int from = result::source(d);
      all[static_cast<std::size_t>(d)] = from < 0 ? 1 : x.extent(from);
    }
    R y = make<R>(dev, Extents<S>::from(all));
    TESS_VERB(dev, reduce_lines, f, y, x, detail::dims_named<X, Dim...>().mask);
    return y;
  }
}

// Each as `sum<0, 2>(dev, x)` [A, B, C] -> [B], and `sum<0, 2>(dev, x, keep_dims)` -> [1, B, 1]; -1 is the last dimension.
// Sums are taken in f64, and rounded once on every device.

/// P<a, b> -> P<a, Partial<b>> over dimension 1. Pending sums may be summed further.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto sum(D& dev, const X& x, Keep...) {
  using T = typename X::value_type;
  return reduce_lines<T, rules::Fold::sum, (sizeof...(Keep) > 0), Dim...>(dev, lines::Sum<T>{}, x);
}
/// The sum over the extent of the whole line: pending as a sum is. Of integers f32, as of `var` and `logsumexp`.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto mean(D& dev, const X& x, Keep...) {
  using T = real<typename X::value_type>;
  return reduce_lines<T, rules::Fold::sum, (sizeof...(Keep) > 0), Dim...>(
      dev, lines::Mean{static_cast<f64>(detail::line_length<X, Dim...>(x))}, x);
}
/// P<a, b> -> P<a, PartialMax<b>>, and PartialMin.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto max(D& dev, const X& x, Keep...) {
  using T = typename X::value_type;
  return reduce_lines<T, rules::Fold::max, (sizeof...(Keep) > 0), Dim...>(dev, lines::Max<T>{}, x);
}
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto min(D& dev, const X& x, Keep...) {
  using T = typename X::value_type;
  return reduce_lines<T, rules::Fold::min, (sizeof...(Keep) > 0), Dim...>(dev, lines::Min<T>{}, x);
}
/// Is some element, are all elements of the line true? In x's type: of bool or 0 and 1 a maximum, a minimum.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto any(D& dev, const X& x, Keep... keep) {
  return max<Dim...>(dev, x, keep...);
}
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto all(D& dev, const X& x, Keep... keep) {
  return min<Dim...>(dev, x, keep...);
}

// Of whole lines only: the dimension must not be sharded.

template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto prod(D& dev, const X& x, Keep...) {
  using T = typename X::value_type;
  return reduce_lines<T, rules::Fold::whole, (sizeof...(Keep) > 0), Dim...>(dev, lines::Product<T>{}, x);
}
/// The mean of (x - mean x)². Source: Welford 1962, one pass in f64.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto var(D& dev, const X& x, Keep...) {
  return reduce_lines<real<typename X::value_type>, rules::Fold::whole, (sizeof...(Keep) > 0), Dim...>(
      dev, lines::Variance{}, x);
}
/// log Σ e^x, without overflow.
template <int... Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto logsumexp(D& dev, const X& x, Keep...) {
  return reduce_lines<real<typename X::value_type>, rules::Fold::whole, (sizeof...(Keep) > 0), Dim...>(
      dev, lines::LogSumExp{}, x);
}
/// i32: where the largest element of a line stands; the first of equal ones, and the first NaN before all.
template <int Dim, class D, AnyTensor X, std::same_as<KeepDims>... Keep>
constexpr auto argmax(D& dev, const X& x, Keep...) {
  return reduce_lines<i32, rules::Fold::whole, (sizeof...(Keep) > 0), Dim>(dev, lines::ArgMax{}, x);
}

}  // namespace tess
