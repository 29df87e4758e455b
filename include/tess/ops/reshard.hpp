// reshard, reduce, gather: the only verbs that move bytes between devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../comm/plan.hpp"
#include "../device/device.hpp"

namespace tess {

template <class From, class To>
struct a_sum_cannot_be_undone {
  static_assert(detail::always_false<From>,
                "[reshard] the target spec is Partial over an axis over which the source is not: "
                "drop Partial from the target");
  static constexpr bool ok = true;
};

namespace detail {
template <class X, class To>
constexpr auto reshard_fact_of() {
  using S = typename X::shape;
  using M = typename X::mesh;
  if constexpr (!Shardable<S, To, M>) return std::type_identity<sharding_fact<S, To, M>>{};
  else if constexpr (spec_value<To, M, S::rank>.partial & ~X::sharding.partial)
    return std::type_identity<a_sum_cannot_be_undone<from<typename X::spec>, to<To>>>{};
  else return std::type_identity<nothing_wrong>{};
}
template <class X, class To>
using reshard_fact = typename decltype(reshard_fact_of<X, To>())::type;

/// Without the axes of size 1, which no plan mentions.
template <class X>
struct placed_spec {
  static constexpr SpecValue value = X::sharding.without(trivial_axes<typename X::mesh>());
};

/// The same shards under another name of the same placement.
template <class To, class X>
constexpr with_spec<X, To> relabel(const X& x) {
  return with_spec<X, To>(x.extents(), x.storage());
}

template <class Planned, int I, class D, class X>
constexpr auto run_plan(D& dev, const X& x) {
  if constexpr (I == Planned::value.size) {
    return x;
  } else {
    using M = typename X::mesh;
    using Y = with_spec<X, spec_type<M, after_step<Planned, I>>>;
    Y y = make<Y>(dev, x.extents());
    TESS_VERB(dev, collective, step_at<M, Planned, I>{}, y, x);
    return run_plan<Planned, I + 1>(dev, y);
  }
}
}  // namespace detail

/// The same values under another spec. Any spec to any other, except that a finished sum cannot become Partial.
/// The collectives are `reshard_plan<shape, from, to, mesh>`, known to the compiler; when nothing moves, no byte is
/// copied. (JAX: jax.reshard; Grok-1's model.py: with_sharding_constraint, which moves data too.)
template <AnySpec To, class D, AnyTensor X>
constexpr auto reshard(D& dev, const X& x) {
  static_assert(detail::reshard_fact<X, To>::ok);
  if constexpr (!std::is_same_v<detail::reshard_fact<X, To>, nothing_wrong>) {
    return x;
  } else {
    using M = typename X::mesh;
    using target = normal_form<To, M, X::rank>;
    using planned = detail::planned<typename X::shape, typename X::spec, target, M>;
    static_assert(planned::value.found, "[reshard] no chain of collectives was found between these specs");
    if constexpr (planned::value.size == 0) {
      return detail::relabel<target>(x);
    } else {
      using source = spec_type<M, detail::placed_spec<X>>;
      return detail::relabel<target>(detail::run_plan<planned, 0>(dev, detail::relabel<source>(x)));
    }
  }
}

namespace detail {
template <class X, int Dim>
struct gathered_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    s[Dim] = {};
    return s;
  }();
};
}  // namespace detail

/// Finishes every pending sum: P<..., Partial<a>> -> P<...>. An all-reduce; to shard the result, reshard to the spec
/// you want.
template <class D, AnyTensor X>
constexpr auto reduce(D& dev, const X& x) {
  return reshard<spec_type<typename X::mesh, detail::reduced_spec<X>>>(dev, x);
}

/// Makes dimension Dim whole on every device.
template <int Dim, class D, AnyTensor X>
constexpr auto gather(D& dev, const X& x) {
  static_assert(Dim >= 0 && Dim < X::rank, "[gather] no such dimension");
  return reshard<spec_type<typename X::mesh, detail::gathered_spec<X, Dim>>>(dev, x);
}

}  // namespace tess
