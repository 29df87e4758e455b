// What operations along dimensions have in common: the errors of the rule, and the type of the result.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../device/device.hpp"
#include "../sharding/device_slice.hpp"
#include "../sharding/rules/along.hpp"
#include "../tensor/strided_copy.hpp"

namespace tess {

/// The operations, as tags for the error.
struct operations {
  struct argsort;
  struct concatenate;
  struct cumsum;
  struct dynamic_slice;
  struct dynamic_update_slice;
  struct expand_dims;
  struct index;
  struct one_hot;
  struct pad;
  struct pad_to_multiple;
  struct repeat;
  struct rev;
  struct roll;
  struct rotate_half;
  struct slice;
  struct sort;
  struct split;
  struct squeeze;
  struct stack;
  struct tile;
  struct top_k;
  struct unstack;
};
template <class>
struct operation;

template <class Operation, class Dim, class Extent, class Over, class Spec>
struct dimension_is_not_whole {
  static_assert(
      detail::always_false<Operation>,
      "[sharding] the operation moves elements along a dimension that is sharded, so devices would exchange them: "
      "gather<> this dimension first, or reshard<> so that another one is sharded");
  static constexpr bool ok = true;
};
template <class Operation, class Spec>
struct operation_on_a_pending_value {
  static_assert(
      detail::always_false<Operation>,
      "[partial] the operand is still pending, and what the operation does to the parts is not what it does to the "
      "value: reduce() or reshard<> it first");
  static constexpr bool ok = true;
};
template <class Operation, class Dim, class Shape>
struct tensor_has_no_such_dimension {
  static_assert(detail::always_false<Operation>,
                "[shape] dimensions are counted from 0, and the tensor has fewer: choose one of its own");
  static constexpr bool ok = true;
};

namespace detail {

template <class X>
constexpr bool has_dim(int d) {
  return d >= 0 && d < X::rank;
}

/// The error of Plan::verdict (an AlongVerdict) about operand X.
template <class Op, class X, class Plan>
constexpr auto along_fact_of() {
  constexpr rules::AlongVerdict v = Plan::verdict;
  if constexpr (v.fault == rules::AlongFault::sharded) {
    using S = typename X::shape;
    using axes = typename as_over<
        dim_entry<typename X::mesh, spec_holder<typename X::spec, typename X::mesh, X::rank>, v.dimension>>::type;
    return std::type_identity<dimension_is_not_whole<
        operation<Op>, dim<v.dimension>, extent<static_extent<S>(v.dimension)>, axes, spec<typename X::spec>>>{};
  } else if constexpr (v.fault == rules::AlongFault::pending) {
    return std::type_identity<operation_on_a_pending_value<operation<Op>, spec<typename X::spec>>>{};
  } else {
    return std::type_identity<nothing_wrong>{};
  }
}
template <class Op, class X, class Plan>
using along_fact = typename decltype(along_fact_of<Op, X, Plan>())::type;

/// The first of these dimensions that X lacks.
inline constexpr int no_dim = -1000;
template <class X, int... Dim>
constexpr int missing_dim() {
  int missing = no_dim;
  ((missing = missing == no_dim && !has_dim<X>(Dim) ? Dim : missing), ...);
  return missing;
}
template <class Op, class X, int Dim>
using dim_error =
    holds_or<has_dim<X>(Dim), tensor_has_no_such_dimension<operation<Op>, dim<Dim>, shape<typename X::shape>>>;

// From values back to types. A plan is a struct with `verdict`, `value` (the spec of the result) and `shape`.

template <class Plan, int... D>
auto shape_of_plan(std::integer_sequence<int, D...>) -> Shape<Plan::shape[D]...>;
template <class Plan>
using planned_shape = decltype(shape_of_plan<Plan>(std::make_integer_sequence<int, Plan::shape.rank>{}));
template <class X, class Plan, class T = typename X::value_type>
using planned_tensor =
    ShardedTensor<T, planned_shape<Plan>, typename X::mesh, spec_type<typename X::mesh, Plan>, typename X::device>;

/// An operation along the dimensions `Dims` (one bit each) that changes no extent.
template <class X, unsigned Dims, rules::Acts A>
struct kept_plan {
  static constexpr rules::AlongVerdict verdict = rules::along(mesh_value<typename X::mesh>, X::sharding, Dims, A);
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = rules::shape_value<typename X::shape>;
};
/// X's extents, with N at dimension Dim.
template <class X, int Dim>
constexpr rules::ShapeValue only_dim(index_t n) {
  rules::ShapeValue s = rules::shape_value<typename X::shape>;
  s[Dim] = n;
  return s;
}
/// The same, where dimension Dim gets extent N.
template <class X, int Dim, index_t N, unsigned Dims, rules::Acts A>
struct resized_plan {
  static constexpr rules::AlongVerdict verdict = rules::along(mesh_value<typename X::mesh>, X::sharding, Dims, A);
  static constexpr SpecValue value = verdict.result;
  static constexpr rules::ShapeValue shape = only_dim<X, Dim>(N);
};

/// Extents of R: those of `e`, with n at dimension `dim`.
template <class R, AnyShape S>
constexpr Extents<typename R::shape> resized(const Extents<S>& e, int dim, index_t n) {
  auto all = e.array();
  all[static_cast<std::size_t>(dim)] = n;
  return Extents<typename R::shape>::from(all);
}

/// Distance between neighbours along dimension d of a shard.
template <AnyTensor X>
constexpr index_t local_stride(const X& x, int d) {
  index_t n = 1;
  for (int i = d + 1; i < X::rank; ++i) n *= x.local_extent(i);
  return n;
}
/// Number of the shard of `device` along dimension d.
template <AnyTensor X>
constexpr index_t shard_of(int d, index_t device) {
  return shard_index<typename X::mesh>(X::sharding[d], device);
}

}  // namespace detail
}  // namespace tess
