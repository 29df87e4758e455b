// reshard, reduce, gather: the verbs that move tensors between devices.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../comm/plan.hpp"
#include "../device/device.hpp"
#include "../sharding/rules/resharding.hpp"

namespace tess {

template <class From, class To>
struct a_pending_value_keeps_its_kind {
  static_assert(detail::always_false<From>,
                "[reshard] addends do not become candidates for a maximum or minimum, nor the reverse: reduce<> first");
  static constexpr bool ok = true;
};
template <class From, class To>
struct no_chain_of_collectives_was_found {
  static_assert(detail::always_false<From>,
                "[reshard] the policy allows collectives only, and no chain of them leads there in the memory of the "
                "larger end: allow exchanges (FewestBytes), or go by a spec between");
  static constexpr bool ok = true;
};

namespace detail {
template <class X, class To>
constexpr auto reshard_fact_of() {
  using S = typename X::shape;
  using M = typename X::mesh;
  if constexpr (!Shardable<S, To, M>) {
    return std::type_identity<sharding_fact<S, To, M>>{};
  } else {
    constexpr rules::Resharding v = rules::reshard(mesh_value<M>, X::sharding, spec_value<To, M, S::rank>);
    if constexpr (v.fault == rules::ReshardFault::a_pending_value_keeps_its_kind)
      return std::type_identity<a_pending_value_keeps_its_kind<from<typename X::spec>, to<To>>>{};
    else return std::type_identity<nothing_wrong>{};
  }
}
template <class X, class To>
using reshard_fact = typename decltype(reshard_fact_of<X, To>())::type;

/// The same shards under another name of the same placement, also on the same devices divided otherwise.
template <class Mesh, class To, class X>
constexpr auto relabel(const X& x) {
  return ShardedTensor<typename X::value_type, typename X::shape, Mesh, To, typename X::device>(x.extents(),
                                                                                                x.storage());
}

template <class Planned, int I, class D, class X>
constexpr auto run_plan(D& dev, const X& x) {
  if constexpr (I == Planned::value.size) {
    return x;
  } else {
    using Y = with_spec<X, spec_type<typename Planned::mesh, after_step<Planned, I>>>;
    Y y = make<Y>(dev, x.extents());
    TESS_VERB(dev, collective, step_at<Planned, I>{}, y, x);
    return run_plan<Planned, I + 1>(dev, y);
  }
}
}  // namespace detail

/// The same values under another spec. Any spec to any other, except that what stays pending keeps its kind. A whole
/// value becomes Partial for nothing: one device keeps each element, the others hold what changes nothing. The steps are
/// `reshard_plan<shape, from, to, mesh, policy>`, known to the compiler; when nothing moves, no byte is copied. By default
/// the plan that moves fewest bytes (comm/links.hpp has the policies).
/// (JAX: jax.reshard; Grok-1's model.py: with_sharding_constraint, which moves data too.)
template <AnySpec To, PlanPolicy Policy = FewestBytes, class D, AnyTensor X>
constexpr auto reshard(D& dev, const X& x) {
  static_assert(detail::reshard_fact<X, To>::ok);
  if constexpr (!std::is_same_v<detail::reshard_fact<X, To>, nothing_wrong>) {
    return x;
  } else {
    using M = typename X::mesh;
    using target = normal_form<To, M, X::rank>;
    using planned = detail::planned<typename X::shape, typename X::spec, target, M, Policy,
                                    static_cast<index_t>(sizeof(typename X::value_type))>;
    static_assert(
        detail::holds_or<planned::value.found, no_chain_of_collectives_was_found<from<typename X::spec>, to<To>>>::ok);
    if constexpr (planned::value.size == 0) {
      return detail::relabel<M, target>(x);
    } else {
      using source = spec_type<typename planned::mesh, detail::after_step<planned, -1>>;
      return detail::relabel<M, target>(
          detail::run_plan<planned, 0>(dev, detail::relabel<typename planned::mesh, source>(x)));
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
