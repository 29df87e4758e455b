// slice, index, split, split_at, unstack: parts of a tensor at places known beforehand, taken where they lie.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "../core/error.hpp"
#include "along.hpp"

namespace tess {

template <index_t Start, index_t Limit>
struct slice_range;
template <class Range, class Dim, class Extent>
struct range_is_outside_the_dimension {
  static_assert(
      detail::always_false<Range>,
      "[slice] a slice begins at 0 or later, ends at the extent or before, does not end before it begins, and its "
      "stride is 1 or more: tess::dyn as the limit is the end");
  static constexpr bool ok = true;
};
template <class Sizes, class Dim, class Extent>
struct pieces_do_not_add_up {
  static_assert(detail::always_false<Sizes>, "[split] the sizes of the pieces add up to the extent of the dimension");
  static constexpr bool ok = true;
};
template <index_t...>
struct piece_sizes;

namespace detail {

template <class X, int Dim>
constexpr rules::ShapeValue only_at(index_t n, index_t others) {
  rules::ShapeValue s;
  for (int d = 0; d < X::rank; ++d) s.push(d == Dim ? n : others);
  return s;
}
template <class X, int Dim, index_t Start, index_t Limit, index_t Stride>
struct slice_plan {
  static constexpr rules::ShapeValue whole = rules::shape_value<typename X::shape>;
  static constexpr index_t end = Limit == dyn ? whole[Dim] : Limit;
  static constexpr rules::AlongVerdict verdict =
      rules::along(mesh_value<typename X::mesh>, X::sharding,
                   rules::sliced_dims(mesh_value<typename X::mesh>, X::sharding, whole, only_at<X, Dim>(Start, 0),
                                      only_at<X, Dim>(Limit, dyn), only_at<X, Dim>(Stride, 1)));
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s = whole;
    s[Dim] = end == dyn ? dyn : rules::slice_extent(Start, end, Stride);
    return s;
  }();
};
constexpr bool range_fits(index_t n, index_t start, index_t limit, index_t stride) {
  const index_t end = limit == dyn ? n : limit;
  return start >= 0 && stride >= 1 && (end == dyn || (start <= end && (n == dyn || end <= n)));
}
template <class Op, class X, int Dim, index_t Start, index_t Limit, index_t Stride>
constexpr auto slicing_fact_of() {
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<Op, X, Dim>>{};
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    if constexpr (!range_fits(n, Start, Limit, Stride))
      return std::type_identity<range_is_outside_the_dimension<slice_range<Start, Limit>, dim<Dim>, extent<n>>>{};
    else return along_fact_of<Op, X, slice_plan<X, Dim, Start, Limit, Stride>>();
  }
}
template <class Op, class X, int Dim, index_t Start, index_t Limit, index_t Stride>
using slicing_fact = typename decltype(slicing_fact_of<Op, X, Dim, Start, Limit, Stride>())::type;

/// y = x[..., start : : stride, ...] with `mine` elements a device along dimension `dim` (which y may lack, if that is
/// 1).
template <class D, class Y, class X>
constexpr void copy_slice(D& dev, Y& y, const X& x, int dim, index_t start, index_t stride, index_t mine) {
  const auto box = [&x, dim, start, stride, mine](index_t device) {
    const index_t p = shard_of<X>(dim, device);
    StridedCopy b;
    b.from = (start + p * (mine * stride - x.local_extent(dim))) * local_stride(x, dim);
    index_t to = 1;
    for (int d = dim + 1; d < X::rank; ++d) to *= x.local_extent(d);
    for (int d = 0; d < X::rank; ++d) {
      index_t step = 1;
      for (int i = d + 1; i < X::rank; ++i) step *= i == dim ? mine : x.local_extent(i);
      b.push(d == dim ? mine : x.local_extent(d), local_stride(x, d) * (d == dim ? stride : 1), step);
    }
    return b;
  };
  TESS_VERB(dev, copy, y, x, box);
}

}  // namespace detail

/// y = x[..., Start : Limit : Stride, ...] along dimension Dim; a Limit of tess::dyn is the end. P<..., a, ...> stays,
/// and Dim must be whole, unless every device finds its part of the slice in its own shard: [1:3] of two shards of 2,
/// or every second element of even shards. Throws Error where only the run-time extent tells that the range does not
/// fit.
template <int Dim, index_t Start, index_t Limit, index_t Stride = 1, class D, AnyTensor X>
constexpr auto slice(D& dev, const X& x) {
  using fact = detail::slicing_fact<operations::slice, X, Dim, Start, Limit, Stride>;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    using R = detail::planned_tensor<X, detail::slice_plan<X, Dim, Start, Limit, Stride>>;
    const index_t n = x.extent(Dim), end = Limit == dyn ? n : Limit;
    if (Start > end || end > n)
      fail("[slice] range_is_outside_the_dimension: [", Start, ", ", end, ") of dimension ", Dim, " of extent ", n);
    if constexpr (Start == 0 && Stride == 1 && Limit == dyn) {
      return R(x.extents(), x.storage());
    } else {
      R y = make<R>(dev, detail::resized<R>(x.extents(), Dim, rules::slice_extent(Start, end, Stride)));
      detail::copy_slice(dev, y, x, Dim, Start, Stride, y.local_extent(Dim));
      return y;
    }
  }
}

namespace detail {
template <class X, int Dim>
struct index_plan {
  static constexpr rules::AlongVerdict verdict = rules::along(mesh_value<typename X::mesh>, X::sharding, 1u << Dim);
  static constexpr SpecValue value = rules::drop(verdict.result, 1u << Dim);
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s;
    for (int d = 0; d < X::rank; ++d)
      if (d != Dim) s.push(static_extent<typename X::shape>(d));
    return s;
  }();
};
template <class R, int Dim, class S>
constexpr Extents<typename R::shape> extents_without_dim(const Extents<S>& e) {
  std::array<index_t, static_cast<std::size_t>(R::rank)> all{};
  for (int d = 0; d < R::rank; ++d) all[static_cast<std::size_t>(d)] = e[d < Dim ? d : d + 1];
  return Extents<typename R::shape>::from(all);
}
}  // namespace detail

/// y = x[..., at, ...]: one position of dimension Dim, which disappears and must be whole. [A, N, B] P<a, None, b> ->
/// [A, B] P<a, b>. A negative position counts from the end. Throws Error when there is no such position.
template <int Dim, class D, AnyTensor X>
constexpr auto index(D& dev, const X& x, index_t at) {
  static_assert(detail::dim_error<operations::index, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim)) {
    return x;
  } else {
    using Rule = detail::index_plan<X, Dim>;
    using fact = detail::along_fact<operations::index, X, Rule>;
    static_assert(fact::ok);
    using R = detail::planned_tensor<X, Rule>;
    if constexpr (!std::is_same_v<fact, nothing_wrong>) {
      return R{};
    } else {
      const index_t n = x.extent(Dim), position = at < 0 ? n + at : at;
      if (position < 0 || position >= n) fail("[index] dimension ", Dim, " of extent ", n, " has no position ", at);
      R y = make<R>(dev, detail::extents_without_dim<R, Dim>(x.extents()));
      detail::copy_slice(dev, y, x, Dim, position, 1, 1);
      return y;
    }
  }
}

namespace detail {
template <index_t... Size>
constexpr index_t piece_begin(int piece) {
  const index_t all[] = {Size...};
  index_t at = 0;
  for (int i = 0; i < piece; ++i) at += all[i];
  return at;
}
template <class X, int Dim, index_t... Size>
constexpr auto split_fact_of() {
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<operations::split, X, Dim>>{};
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    constexpr bool fits = (n == dyn || (Size + ...) == n) && ((Size >= 0) && ...);
    if constexpr (!fits) return std::type_identity<pieces_do_not_add_up<piece_sizes<Size...>, dim<Dim>, extent<n>>>{};
    else if constexpr (sizeof...(Size) == 1) return std::type_identity<nothing_wrong>{};
    else return along_fact_of<operations::split, X, kept_plan<X, 1u << Dim, rules::Acts::moves>>();
  }
}
template <int Dim, index_t... Size, class D, class X, int... I>
constexpr auto split_pieces(D& dev, const X& x, std::integer_sequence<int, I...>) {
  return std::tuple{slice<Dim, piece_begin<Size...>(I), piece_begin<Size...>(I + 1)>(dev, x)...};
}
}  // namespace detail

/// The pieces of dimension Dim with these sizes, one behind the other, as a std::tuple: split<1, 4, 12>(dev, x). Dim
/// must be whole. (numpy's split. The reshape of one dimension into two, split<Dim, Outer, Inner>(x, outer), takes no
/// device.)
template <int Dim, index_t... Size, class D, AnyTensor X>
requires(sizeof...(Size) > 0 && !AnyTensor<D>) constexpr auto split(D& dev, const X& x) {
  using fact = typename decltype(detail::split_fact_of<X, Dim, Size...>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return std::tuple{((void)Size, x)...};
  } else {
    if ((Size + ...) != x.extent(Dim))
      fail("[split] pieces_do_not_add_up: dimension ", Dim, " has extent ", x.extent(Dim), ", the pieces ",
           (Size + ...));
    return detail::split_pieces<Dim, Size...>(dev, x, std::make_integer_sequence<int, sizeof...(Size)>{});
  }
}

namespace detail {
template <class X, int Dim, index_t First, index_t Second>
constexpr auto split_at_fact_of() {
  if constexpr (!has_dim<X>(Dim)) {
    return std::type_identity<dim_error<operations::split, X, Dim>>{};
  } else {
    constexpr index_t n = static_extent<typename X::shape>(Dim);
    constexpr bool open = n == dyn || First == dyn || Second == dyn;
    if constexpr (!open && First + Second != n)
      return std::type_identity<pieces_do_not_add_up<piece_sizes<First, Second>, dim<Dim>, extent<n>>>{};
    else return along_fact_of<operations::split, X, kept_plan<X, 1u << Dim, rules::Acts::moves>>();
  }
}
}  // namespace detail

/// x[..., : first, ...] and x[..., first :, ...] along dimension Dim, which must be whole, as a std::tuple. First and
/// Second are their extents: numbers, or dyn where only run time knows. Throws Error where they do not fit.
template <int Dim, index_t First, index_t Second, class D, AnyTensor X>
constexpr auto split_at(D& dev, const X& x, index_t first) {
  using fact = typename decltype(detail::split_at_fact_of<X, Dim, First, Second>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return std::tuple{x, x};
  } else {
    using A = detail::planned_tensor<X, detail::resized_plan<X, Dim, First, 1u << Dim, rules::Acts::moves>>;
    using B = detail::planned_tensor<X, detail::resized_plan<X, Dim, Second, 1u << Dim, rules::Acts::moves>>;
    const index_t second = x.extent(Dim) - first;
    if (first < 0 || second < 0 || (First != dyn && First != first) || (Second != dyn && Second != second))
      fail("[split] pieces_do_not_add_up: dimension ", Dim, " of extent ", x.extent(Dim), " does not split at ", first,
           " into pieces of the declared sizes");
    A a = make<A>(dev, detail::resized<A>(x.extents(), Dim, first));
    B b = make<B>(dev, detail::resized<B>(x.extents(), Dim, second));
    detail::copy_slice(dev, a, x, Dim, 0, 1, first);
    detail::copy_slice(dev, b, x, Dim, first, 1, second);
    return std::tuple{a, b};
  }
}

namespace detail {
template <int Dim, class D, class X, std::size_t... I>
constexpr auto unstack_all(D& dev, const X& x, std::index_sequence<I...>) {
  return std::array{index<Dim>(dev, x, static_cast<index_t>(I))...};
}
}  // namespace detail

/// x[..., 0, ...], x[..., 1, ...], ... along dimension Dim, whose extent is a number, as a std::array. Dim must be
/// whole.
template <int Dim, class D, AnyTensor X>
constexpr auto unstack(D& dev, const X& x) {
  static_assert(detail::dim_error<operations::unstack, X, Dim>::ok);
  if constexpr (!detail::has_dim<X>(Dim)) {
    return std::array{x};
  } else {
    constexpr index_t n = detail::static_extent<typename X::shape>(Dim);
    static_assert(n > 0, "[unstack] how many tensors there are must be known: the extent of the dimension is a number");
    using Rule = detail::index_plan<X, Dim>;
    using fact = detail::along_fact<operations::unstack, X, Rule>;
    static_assert(fact::ok);
    using R = detail::planned_tensor<X, Rule>;
    if constexpr (n <= 0) return std::array<R, 1>{};
    else if constexpr (!std::is_same_v<fact, nothing_wrong>) return std::array<R, static_cast<std::size_t>(n)>{};
    else return detail::unstack_all<Dim>(dev, x, std::make_index_sequence<static_cast<std::size_t>(n)>{});
  }
}

}  // namespace tess
