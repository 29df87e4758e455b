// The collectives as empty types: the steps of which plans are made.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess {

enum class Collective : unsigned char {
  slice,
  all_gather,
  all_to_all,
  all_reduce,
  reduce_scatter,
  permute,
  exchange,
  pend
};

/// The others rearrange what a device has.
constexpr bool moves_bytes(Collective c) { return c != Collective::slice && c != Collective::pend; }

// A is what the step runs over: a mesh axis, a part `Sub<axis, major, size>` of one, or `Axes<...>` for several at once.
// Over several, they are the minor end of the dimension's axes, in order. Dimensions count from 0.
template <class A, int Dim>
struct Slice {  // keep the own part of a dimension: no bytes
  using axis = A;
  static constexpr Collective kind = Collective::slice;
};
template <class A, int Dim>
struct AllGather {  // S(dim) -> replicated
  using axis = A;
  static constexpr Collective kind = Collective::all_gather;
};
template <class A, int From, int To>
struct AllToAll {  // S(from) -> S(to)
  using axis = A;
  static constexpr Collective kind = Collective::all_to_all;
};
template <class A>
struct AllReduce {  // partial -> replicated
  using axis = A;
  static constexpr Collective kind = Collective::all_reduce;
};
template <class A, int Dim>
struct ReduceScatter {  // partial -> S(dim)
  using axis = A;
  static constexpr Collective kind = Collective::reduce_scatter;
};
/// replicated or S(dim) -> partial: one device of a group keeps an element, the others hold what changes nothing (0 in a
/// sum). No bytes. Shardy says replicated_to_unreduced and sharded_to_unreduced.
template <class A>
struct Pend {
  using axis = A;
  static constexpr Collective kind = Collective::pend;
};
/// Shards change places: every device takes one whole shard, of the shape that it had, from one device.
template <class To>
struct Permute {
  static constexpr Collective kind = Collective::permute;
};
/// Every device asks exactly the elements that it lacks from devices that hold them (comm/movement.hpp has the lists).
template <class To>
struct Exchange {
  static constexpr Collective kind = Collective::exchange;
};

template <class... Step>
struct Steps {
  static constexpr int count = sizeof...(Step);
};

/// Elements that a device receives from others, for a local shard of `local` elements before the step and n devices in
/// the group. Exact for the algorithms that `Host` runs; equal to the ring algorithms' (n-1)/n forms of NCCL
/// (nccl-tests PERFORMANCE.md) wherever n divides the shard. Sharding dimensions divide by construction; the chunks of
/// an all-reduce need not. A permute or exchange asks what is lacking: `lacking_elements` of comm/movement.hpp.
constexpr index_t received_elements(Collective c, index_t local, index_t n) {
  switch (c) {
    case Collective::all_gather:
      return local * (n - 1);
    case Collective::all_to_all:
    case Collective::reduce_scatter:
      return local / n * (n - 1);
    case Collective::all_reduce:
      return n == 1 ? 0 : local + (n - 2) * ((local + n - 1) / n);  // reduce-scatter, then all-gather
    case Collective::permute:
      return local;
    case Collective::slice:
    case Collective::exchange:
    case Collective::pend:
      break;
  }
  return 0;
}

}  // namespace tess
