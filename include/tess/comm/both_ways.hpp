// both_ways: what a transition of local types costs one device, forward and in the gradient.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../sharding/dual.hpp"
#include "collectives.hpp"

namespace tess::spmd {

/// Elements that one device receives. A transition that is free forward may not be in the gradient: I → R costs an
/// all-reduce there, so both are charged.
struct BothWays {
  index_t forward = 0, backward = 0;
  constexpr bool operator==(const BothWays&) const = default;
};

namespace detail {
/// Elements of a block of `local` elements after the transition, along an axis of n devices; and those received for it.
template <class T>
struct traffic {  // casts: the same elements
  static constexpr index_t after(index_t local, index_t) { return local; }
  static constexpr index_t received(index_t, index_t) { return 0; }
};
template <class A>
requires(!std::is_same_v<A, V>) struct traffic<Convert<A, V>> : traffic<void> {
  static constexpr index_t after(index_t local, index_t n) { return local / n; }
};
template <>
struct traffic<Convert<V, P>> : traffic<void> {
  static constexpr index_t after(index_t local, index_t n) { return local * n; }
};
template <class To>
struct traffic<AllGather<To>> {
  static constexpr index_t after(index_t local, index_t n) { return local * n; }
  static constexpr index_t received(index_t local, index_t n) {
    return received_elements(Collective::all_gather, local, n);
  }
};
template <class To>
struct traffic<AllReduce<To>> {
  static constexpr index_t after(index_t local, index_t) { return local; }
  static constexpr index_t received(index_t local, index_t n) {
    return received_elements(Collective::all_reduce, local, n);
  }
};
template <>
struct traffic<ReduceScatter> {
  static constexpr index_t after(index_t local, index_t n) { return local / n; }
  static constexpr index_t received(index_t local, index_t n) {
    return received_elements(Collective::reduce_scatter, local, n);
  }
};
template <>
struct traffic<AllToAll> {
  static constexpr index_t after(index_t local, index_t) { return local; }
  static constexpr index_t received(index_t local, index_t n) {
    return received_elements(Collective::all_to_all, local, n);
  }
};
template <class... T>
struct traffic<Then<T...>> {
  static constexpr index_t after(index_t local, index_t n) {
    ((local = traffic<T>::after(local, n)), ...);
    return local;
  }
  static constexpr index_t received(index_t local, index_t n) {
    index_t all = 0;
    ((all += traffic<T>::received(local, n), local = traffic<T>::after(local, n)), ...);
    return all;
  }
};
}  // namespace detail

/// Transition T of a block of `local` elements along an axis of n devices. The gradient starts from a block of the size
/// that T leaves.
template <class T>
constexpr BothWays both_ways(index_t local, index_t n) {
  return {detail::traffic<T>::received(local, n),
          detail::traffic<backward_of<T>>::received(detail::traffic<T>::after(local, n), n)};
}

}  // namespace tess::spmd
