// reshape, split, merge, expand_dims, squeeze: other extents for the same elements; every device keeps its bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/error.hpp"
#include "../sharding/rules/reshape.hpp"
#include "along.hpp"

namespace tess {

template <class Spec, class... Facts>
struct reshape_is_not_local {
  static_assert(detail::always_false<Spec>,
                "[reshape] the shards of this dimension do not fall on whole entries of the new dimensions, so "
                "elements would have to move: use fewer shards on it, or reshard<> first");
  static constexpr bool ok = true;
};
template <class From, class To>
struct reshape_changes_the_number_of_elements {
  static_assert(detail::always_false<From>, "[reshape] the old and the new shape have equally many elements");
  static constexpr bool ok = true;
};
template <class Dim, class Extent, class Into>
struct dimension_does_not_split {
  static_assert(
      detail::always_false<Dim>,
      "[reshape] a dimension splits into equal parts: the extent is a multiple of their number, and the quotient the "
      "extent of one");
  static constexpr bool ok = true;
};
template <class Spec, class From, class To>
struct reshape_depends_on_run_time_extents {
  static_assert(
      detail::always_false<Spec>,
      "[reshape] which dimension the mesh axes end up on depends on extents that only run time tells: give more of "
      "them as numbers, or split<> and merge<> single dimensions");
  static constexpr bool ok = true;
};
template <class Dim, class Extent, class Shape>
struct squeezed_dimension_is_not_one {
  static_assert(detail::always_false<Dim>,
                "[squeeze] only a dimension of extent 1 can be left out: index<> takes one position of a longer one");
  static constexpr bool ok = true;
};

namespace detail {

template <class X, class To>
struct reshape_plan {
  static constexpr rules::ReshapeVerdict verdict = rules::reshape(
      mesh_value<typename X::mesh>, rules::shape_value<typename X::shape>, X::sharding, rules::shape_value<To>);
  static constexpr SpecValue value = verdict.result;
};
template <class X, class To>
constexpr auto reshape_fact_of() {
  using rules::ReshapeFault;
  constexpr rules::ReshapeVerdict v = reshape_plan<X, To>::verdict;
  using From = typename X::shape;
  if constexpr (v.fault == ReshapeFault::sizes_differ)
    return std::type_identity<reshape_changes_the_number_of_elements<from<From>, to<To>>>{};
  else if constexpr (v.fault == ReshapeFault::not_known)
    return std::type_identity<reshape_depends_on_run_time_extents<spec<typename X::spec>, from<From>, to<To>>>{};
  else if constexpr (v.fault == ReshapeFault::not_local)
    return std::type_identity<reshape_is_not_local<spec<typename X::spec>, from<From>, to<To>, dim<v.dimension>>>{};
  else return std::type_identity<nothing_wrong>{};
}

/// The run-time half of the rule, with all extents known: is the result still sharded as the type says?
constexpr void check_reshape(const MeshValue& m, const rules::ReshapeVerdict& now, const SpecValue& promised) {
  if (now.fault != rules::ReshapeFault::none || !(placement(m, now.result) == placement(m, promised)))
    fail(
        "[reshape] reshape_is_not_local: with these run-time extents the shards do not fall on whole entries of the "
        "new "
        "dimensions",
        now.dimension < 0 ? "" : ", the first is dimension ", now.dimension < 0 ? "" : std::to_string(now.dimension));
}

template <class To>
constexpr index_t product_of_static() {
  index_t n = 1;
  for (int d = 0; d < To::rank; ++d) n *= static_extent<To>(d) == dyn ? 1 : static_extent<To>(d);
  return n;
}

}  // namespace detail

/// x with the extents `to`, in the same row-major order; no element moves, no byte is copied. The spec of the result
/// follows: mesh axes and local extents are digits of an element's number, and the new dimensions must read them off
/// whole.
///   [32, 1024] P<data, model> -> [32, 8, 128] P<data, model, None> on 8 devices of `model`; on 16 it is refused.
///   [4, 2, 6] P<a, b> on 4 devices of a and 2 of b -> [8, 6] P<Axes<a, b>>, which JAX refuses; [4, 4] P<a, b> on 2 and
///   2 -> [16] is refused, where JAX hides an all-to-all.
/// Throws Error where only run-time extents tell that it is not so. Source: sharding.md section 0.
template <AnyShape To, AnyTensor X>
constexpr auto reshape(const X& x, const Extents<To>& to) {
  using fact = typename decltype(detail::reshape_fact_of<X, To>())::type;
  static_assert(fact::ok);
  using Rule = detail::reshape_plan<X, To>;
  using R = with_shape<X, To, spec_type<typename X::mesh, Rule>>;
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return with_shape<X, To, P<>>{};
  } else {
    if (to.size() != x.extents().size())
      fail("[reshape] reshape_changes_the_number_of_elements: from ", x.extents().size(), " to ", to.size());
    if constexpr (!X::shape::is_static || !To::is_static)
      if (to.size() > 0)
        detail::check_reshape(mesh_value<typename X::mesh>,
                              rules::reshape(mesh_value<typename X::mesh>, rules::shape_value_of(x.extents()),
                                             X::sharding, rules::shape_value_of(to)),
                              Rule::value);
    return R(to, x.storage());
  }
}

/// The same; one extent of To may be dyn, and is what the others leave.
template <AnyShape To, AnyTensor X>
constexpr auto reshape(const X& x) {
  static_assert(To::dynamic_count <= 1,
                "[reshape] more than one extent is left open: give them as Extents<Shape<...>>");
  if constexpr (To::is_static) {
    return reshape(x, Extents<To>{});
  } else if constexpr (To::dynamic_count == 1) {
    constexpr index_t rest = detail::product_of_static<To>();
    const index_t n = x.extents().size();
    if (rest == 0 || n % rest != 0)
      fail("[reshape] reshape_changes_the_number_of_elements: ", n, " is no multiple of ", rest);
    return reshape(x, Extents<To>{rest ? n / rest : 0});
  } else {
    return with_shape<X, To, P<>>{};
  }
}

namespace detail {

template <class X, int Dim, index_t Outer, index_t Inner>
struct split_plan {
  static constexpr rules::ReshapeVerdict verdict =
      rules::split(mesh_value<typename X::mesh>, X::sharding, Dim, static_extent<typename X::shape>(Dim), Outer, Inner);
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s;
    for (int d = 0; d < X::rank; ++d)
      if (d != Dim) s.push(static_extent<typename X::shape>(d));
      else s.push(Outer), s.push(Inner);
    return s;
  }();
};
template <class X, int Dim>
struct merge_plan {
  static constexpr index_t a = static_extent<typename X::shape>(Dim), b = static_extent<typename X::shape>(Dim + 1);
  static constexpr rules::ReshapeVerdict verdict = rules::merge(mesh_value<typename X::mesh>, X::sharding, Dim, a, b);
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s;
    for (int d = 0; d < X::rank; ++d)
      if (d == Dim) s.push(a == dyn || b == dyn ? dyn : a * b);
      else if (d != Dim + 1) s.push(static_extent<typename X::shape>(d));
    return s;
  }();
};
template <class X, int Dim, index_t Outer, index_t Inner = dyn>
constexpr bool split_is_local() {
  return split_plan<X, Dim, Outer, Inner>::verdict.fault == rules::ReshapeFault::none;
}
template <class X, int Dim>
constexpr bool merge_is_local() {
  return merge_plan<X, Dim>::verdict.fault == rules::ReshapeFault::none;
}
template <class X, int Dim>
using axes_over =
    typename as_over<dim_entry<typename X::mesh, spec_holder<typename X::spec, typename X::mesh, X::rank>, Dim>>::type;
/// Numbers of outer entries that the shards of dimension Dim fall on whole: multiples of the number of shards.
template <class X, int Dim, index_t Outer>
constexpr auto outer_sizes_that_work() {
  constexpr index_t k = parts<typename X::mesh>(X::sharding[Dim]);
  if constexpr (Outer < k) return std::type_identity<sizes_that_work<k>>{};
  else return std::type_identity<sizes_that_work<Outer / k * k, (Outer / k + 1) * k>>{};
}

template <class X, int Dim, index_t Outer, index_t Inner>
constexpr auto splitting_fact_of() {
  constexpr rules::ReshapeFault fault = split_plan<X, Dim, Outer, Inner>::verdict.fault;
  if constexpr (fault == rules::ReshapeFault::none) {
    return std::type_identity<nothing_wrong>{};
  } else if constexpr (fault == rules::ReshapeFault::sizes_differ) {
    return std::type_identity<
        dimension_does_not_split<dim<Dim>, extent<static_extent<typename X::shape>(Dim)>, into<Outer>>>{};
  } else {
    using sizes = typename decltype(outer_sizes_that_work<X, Dim, Outer>())::type;
    return std::type_identity<
        reshape_is_not_local<spec<typename X::spec>, dim<Dim>, into<Outer>, axes_over<X, Dim>, sizes>>{};
  }
}

template <class S, int Dim>
constexpr bool extents_match(index_t outer, index_t inner) {
  const index_t o = static_extent<S>(Dim), i = static_extent<S>(Dim + 1);
  return (o == dyn || o == outer) && (i == dyn || i == inner);
}
}  // namespace detail

/// [..., N, ...] -> [..., outer, N / outer, ...] at dimension Dim; Outer (and Inner) may be numbers or dyn. The reshape
/// of one dimension: the mesh axes of N go to `outer` while they divide it, P<..., a, ...> -> P<..., a, None, ...>, and
/// the rest to the inner part. Refused when shards hold parts of entries, e.g. 8 key/value heads on a model axis of 16.
/// Throws Error where only the run-time sizes tell.
template <int Dim, index_t Outer, index_t Inner, AnyTensor X>
constexpr auto split(const X& x, index_t outer) {
  using Rule = detail::split_plan<X, Dim, Outer, Inner>;
  static_assert(decltype(detail::splitting_fact_of<X, Dim, Outer, Inner>())::type::ok);
  using S = detail::planned_shape<Rule>;
  if constexpr (!detail::split_is_local<X, Dim, Outer, Inner>()) {
    return with_shape<X, S, P<>>{};
  } else {
    const index_t n = x.extent(Dim), inner = outer > 0 ? n / outer : 0;
    if (outer <= 0 || n % outer != 0 || !detail::extents_match<S, Dim>(outer, inner))
      fail("[reshape] dimension ", Dim, " of extent ", n, " does not split into ", outer,
           " equal parts of the declared size");
    constexpr MeshValue m = mesh_value<typename X::mesh>;
    if constexpr (Outer == dyn || Inner == dyn)
      detail::check_reshape(m, rules::split(m, X::sharding, Dim, n, outer, inner), Rule::value);
    std::array<index_t, static_cast<std::size_t>(X::rank + 1)> all{};
    for (int d = 0; d <= X::rank; ++d)
      all[static_cast<std::size_t>(d)] = d < Dim        ? x.extent(d)
                                         : d == Dim     ? outer
                                         : d == Dim + 1 ? inner
                                                        : x.extent(d - 1);
    return with_shape<X, S, spec_type<typename X::mesh, Rule>>(Extents<S>::from(all), x.storage());
  }
}

/// [..., A, B, ...] -> [..., A * B, ...] at dimensions Dim and Dim + 1. Local when B is unsharded, P<..., a, None> ->
/// P<..., a>, or when a device holds one entry of A: then P<..., a, b> -> P<..., Axes<a, b>>.
template <int Dim, AnyTensor X>
constexpr auto merge(const X& x) {
  using Rule = detail::merge_plan<X, Dim>;
  constexpr bool local = detail::merge_is_local<X, Dim>();
  static_assert(detail::holds_or<local, reshape_is_not_local<spec<typename X::spec>, dim<Dim + 1>, into<1>,
                                                             detail::axes_over<X, Dim + 1>>>::ok);
  using S = detail::planned_shape<Rule>;
  using R = with_shape<X, S, spec_type<typename X::mesh, Rule>>;
  if constexpr (!local) {
    return R{};
  } else {
    std::array<index_t, static_cast<std::size_t>(X::rank - 1)> all{};
    for (int d = 0; d < X::rank - 1; ++d)
      all[static_cast<std::size_t>(d)] = d < Dim    ? x.extent(d)
                                         : d == Dim ? x.extent(d) * x.extent(d + 1)
                                                    : x.extent(d + 1);
    return R(Extents<S>::from(all), x.storage());
  }
}

namespace detail {
template <class X, int Dim>
struct expand_plan {
  static constexpr SpecValue value = rules::insert(X::sharding, Dim);
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s;
    for (int d = 0; d <= X::rank; ++d) s.push(d == Dim ? 1 : static_extent<typename X::shape>(d < Dim ? d : d - 1));
    return s;
  }();
};
template <class X, unsigned Dims>
struct squeeze_plan {
  static constexpr SpecValue value = rules::drop(X::sharding, Dims);
  static constexpr rules::ShapeValue shape = [] {
    rules::ShapeValue s;
    for (int d = 0; d < X::rank; ++d)
      if (!(Dims >> d & 1u)) s.push(static_extent<typename X::shape>(d));
    return s;
  }();
};
template <class X, int... Dim>
constexpr int first_not_one() {
  int odd = -1;
  ((odd = odd < 0 && static_extent<typename X::shape>(Dim) != 1 ? Dim : odd), ...);
  return odd;
}
template <class X, int... Dim>
constexpr auto squeezing_fact_of() {
  constexpr int missing = missing_dim<X, Dim...>();
  if constexpr (missing != no_dim) {
    return std::type_identity<dim_error<operations::squeeze, X, missing>>{};
  } else {
    constexpr int odd = first_not_one<X, Dim...>();
    if constexpr (odd >= 0)
      return std::type_identity<squeezed_dimension_is_not_one<dim<odd>, extent<static_extent<typename X::shape>(odd)>,
                                                              shape<typename X::shape>>>{};
    else return std::type_identity<nothing_wrong>{};
  }
}
}  // namespace detail

/// [A, B] P<a, b> -> [A, 1, B] P<a, None, b>, the 1 at dimension Dim. Free.
template <int Dim, AnyTensor X>
constexpr auto expand_dims(const X& x) {
  constexpr bool fits = Dim >= 0 && Dim <= X::rank && X::rank < max_rank;
  static_assert(detail::holds_or<fits, tensor_has_no_such_dimension<operation<operations::expand_dims>, dim<Dim>,
                                                                    shape<typename X::shape>>>::ok);
  if constexpr (!fits) {
    return x;
  } else {
    using R = detail::planned_tensor<X, detail::expand_plan<X, Dim>>;
    std::array<index_t, static_cast<std::size_t>(R::rank)> all{};
    for (int d = 0; d < R::rank; ++d) all[static_cast<std::size_t>(d)] = d == Dim ? 1 : x.extent(d < Dim ? d : d - 1);
    return R(Extents<typename R::shape>::from(all), x.storage());
  }
}

/// [A, 1, B] P<a, None, b> -> [A, B] P<a, b>: without the dimensions Dim..., whose extents are 1. Free.
template <int... Dim, AnyTensor X>
constexpr auto squeeze(const X& x) {
  using fact = typename decltype(detail::squeezing_fact_of<X, Dim...>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    constexpr unsigned dims = ((1u << Dim) | ... | 0u);
    using R = detail::planned_tensor<X, detail::squeeze_plan<X, dims>>;
    std::array<index_t, static_cast<std::size_t>(R::rank)> all{};
    for (int d = 0, i = 0; d < X::rank; ++d)
      if (!(dims >> d & 1u)) all[static_cast<std::size_t>(i++)] = x.extent(d);
    return R(Extents<typename R::shape>::from(all), x.storage());
  }
}

}  // namespace tess
