// dynamic_slice, dynamic_update_slice: a window of known size at a place that only run time tells.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/error.hpp"
#include "../sharding/rules/concatenate.hpp"
#include "along.hpp"
#include "reshard.hpp"

namespace tess {

template <class Part, class Whole>
struct part_is_larger_than_the_tensor {
  static_assert(detail::always_false<Part>,
                "[slice] a part has as many dimensions as the tensor, and none of them is longer");
  static constexpr bool ok = true;
};
template <class Updated, class Update>
struct update_is_sharded_differently {
  static_assert(
      detail::always_false<Updated>,
      "[slice] beside the dimensions in which it is shorter, an update is sharded like the tensor, or either is "
      "finer: reshard<> the update to the tensor's spec");
  static constexpr bool ok = true;
};
template <class Updated, class Update>
struct update_is_pending_differently {
  static_assert(
      detail::always_false<Updated>,
      "[partial] a pending value is updated by one that is pending over the same axes and of the same kind (and "
      "marked Reduced alike): reduce() the one that is pending");
  static constexpr bool ok = true;
};

namespace detail {

/// Part: a Shape, as long as X's in some dimensions and shorter in others, in which it is taken or put at a run-time
/// place.
template <class X, class Part>
constexpr bool part_fits() {
  if (X::rank != Part::rank) return false;
  for (int d = 0; d < X::rank; ++d) {
    const index_t n = static_extent<typename X::shape>(d), m = static_extent<Part>(d);
    if (n != dyn && m != dyn && m > n) return false;
  }
  return true;
}
template <class X, class Part>
struct window_plan {
  static constexpr rules::ShapeValue shape = rules::shape_value<Part>;
  static constexpr unsigned window = rules::window_dims(rules::shape_value<typename X::shape>, shape);
  static constexpr rules::AlongVerdict verdict = rules::along(mesh_value<typename X::mesh>, X::sharding, window);
  static constexpr SpecValue value = verdict.result;
};
template <class X, class Part>
constexpr auto window_fact_of() {
  if constexpr (!part_fits<X, Part>())
    return std::type_identity<part_is_larger_than_the_tensor<shape<Part>, shape<typename X::shape>>>{};
  else return along_fact_of<operations::dynamic_slice, X, window_plan<X, Part>>();
}
/// As JAX: a start is moved so that the window lies inside.
template <class X, class Part>
constexpr auto clamped_starts(const X& x, const Extents<Part>& part,
                              std::array<index_t, static_cast<std::size_t>(X::rank)> starts) {
  for (int d = 0; d < X::rank; ++d) {
    index_t& s = starts[static_cast<std::size_t>(d)];
    const index_t last = x.extent(d) - part[d];
    if (last < 0)
      fail("[slice] part_is_larger_than_the_tensor: ", part[d], " elements of dimension ", d, " of extent ",
           x.extent(d));
    s = s < 0 ? 0 : s > last ? last : s;
  }
  return starts;
}
}  // namespace detail

/// The window of shape Part (static extents) that begins at `starts`, moved inside where it would stick out (as
/// jax.lax.dynamic_slice does). Dimensions that the window takes whole keep their axes, the others must be whole.
template <AnyShape Part, class D, AnyTensor X>
constexpr auto dynamic_slice(D& dev, const X& x, const std::array<index_t, static_cast<std::size_t>(X::rank)>& starts) {
  static_assert(Part::is_static, "[dynamic_slice] the sizes of the window are numbers");
  using fact = typename decltype(detail::window_fact_of<X, Part>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    using R = detail::planned_tensor<X, detail::window_plan<X, Part>>;
    const auto from = detail::clamped_starts(x, Extents<Part>{}, starts);
    R y = make<R>(dev, Extents<Part>{});
    const auto box = [&](index_t) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d) {
        const bool inside = detail::window_plan<X, Part>::window >> d & 1u;
        b.from += (inside ? from[static_cast<std::size_t>(d)] : 0) * detail::local_stride(x, d);
        b.push(y.local_extent(d), detail::local_stride(x, d), detail::local_stride(y, d));
      }
      return b;
    };
    TESS_VERB(dev, copy, y, x, box);
    return y;
  }
}

namespace detail {
template <class X, class U>
struct update_plan {
  static constexpr rules::ShapeValue shape = rules::shape_value<typename X::shape>;
  static constexpr unsigned window = rules::window_dims(shape, rules::shape_value<typename U::shape>);
  static constexpr rules::ConcatenateVerdict verdict =
      rules::update_slice(mesh_value<typename X::mesh>, X::sharding, U::sharding, window);
  static constexpr SpecValue value = verdict.result;
};
template <class X, class U>
struct read_update_plan {
  static constexpr SpecValue value = rules::update_spec(update_plan<X, U>::value, update_plan<X, U>::window);
};
template <class X, class U>
constexpr auto update_fact_of() {
  if constexpr (!part_fits<X, typename U::shape>()) {
    return std::type_identity<part_is_larger_than_the_tensor<shape<typename U::shape>, shape<typename X::shape>>>{};
  } else {
    using rules::ConcatenateFault;
    constexpr rules::ConcatenateVerdict v = update_plan<X, U>::verdict;
    if constexpr (v.fault == ConcatenateFault::sharded)
      return along_fact_of<operations::dynamic_update_slice, U, kept_plan<U, 1u << v.dimension, rules::Acts::moves>>();
    else if constexpr (v.fault == ConcatenateFault::pending_differently ||
                       v.fault == ConcatenateFault::marked_differently)
      return std::type_identity<update_is_pending_differently<lhs<typename X::spec>, rhs<typename U::spec>>>{};
    else if constexpr (v.fault != ConcatenateFault::none)
      return std::type_identity<update_is_sharded_differently<lhs<typename X::spec>, rhs<typename U::spec>>>{};
    else return std::type_identity<nothing_wrong>{};
  }
}
}  // namespace detail

/// x with `update` written over it from `starts` on, moved inside where it would stick out. Where the update is shorter
/// it must be whole, and x may be sharded: each device writes what falls into its shard. In the other dimensions the
/// finer sharding wins: P<a, None>, P<> -> P<a, None>.
template <class D, AnyTensor X, AnyTensor U>
constexpr auto dynamic_update_slice(D& dev, const X& x, const U& update,
                                    const std::array<index_t, static_cast<std::size_t>(X::rank)>& starts) {
  static_assert(std::is_same_v<typename X::mesh, typename U::mesh> &&
                    std::is_same_v<typename X::value_type, typename U::value_type>,
                "[dynamic_update_slice] tensor and update have one mesh and one element type");
  using fact = typename decltype(detail::update_fact_of<X, U>())::type;
  static_assert(fact::ok);
  if constexpr (!std::is_same_v<fact, nothing_wrong>) {
    return x;
  } else {
    using Rule = detail::update_plan<X, U>;
    using R = with_spec<X, spec_type<typename X::mesh, Rule>>;
    const auto at = detail::clamped_starts(x, update.extents(), starts);
    const auto old = reshard<typename R::spec>(dev, x);
    const auto u = reshard<spec_type<typename X::mesh, detail::read_update_plan<X, U>>>(dev, update);
    R y = make<R>(dev, x.extents());
    const auto all = [&](index_t) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d)
        b.push(y.local_extent(d), detail::local_stride(y, d), detail::local_stride(y, d));
      return b;
    };
    const auto over = [&](index_t device) {
      StridedCopy b;
      for (int d = 0; d < X::rank; ++d) {
        const bool inside = Rule::window >> d & 1u;
        const index_t held = y.local_extent(d), begin = inside ? detail::shard_of<R>(d, device) * held : 0;
        const index_t start = inside ? at[static_cast<std::size_t>(d)] : 0, end = start + u.local_extent(d);
        const index_t first = start > begin ? start : begin, last = end < begin + held ? end : begin + held;
        b.from += (first - start) * detail::local_stride(u, d);
        b.to += (first - begin) * detail::local_stride(y, d);
        b.push(last > first ? last - first : 0, detail::local_stride(u, d), detail::local_stride(y, d));
      }
      return b;
    };
    TESS_VERB(dev, copy, y, old, all);
    TESS_VERB(dev, copy, y, u, over);
    return y;
  }
}

}  // namespace tess
