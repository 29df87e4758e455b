// The collectives as empty types, each with what it costs one device.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../core/types.hpp"

namespace tess {

enum class Collective { slice, all_gather, all_to_all, all_reduce, reduce_scatter };

// A is the tag of one mesh axis; dimensions count from 0.
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

template <class... Step>
struct Steps {
  static constexpr int count = sizeof...(Step);
};

/// Elements that a device receives from others, for a local shard of `local` elements before the step and n devices in
/// the group. Exact for the algorithms that `Host` runs; equal to the ring algorithms' (n-1)/n forms of NCCL
/// (nccl-tests PERFORMANCE.md) wherever n divides the shard. Sharding dimensions divide by construction; the chunks of
/// an all-reduce need not.
constexpr index_t received_elements(Collective c, index_t local, index_t n) {
  switch (c) {
    case Collective::slice:
      return 0;
    case Collective::all_gather:
      return local * (n - 1);
    case Collective::all_to_all:
    case Collective::reduce_scatter:
      return local / n * (n - 1);
    case Collective::all_reduce:
      return n == 1 ? 0 : local + (n - 2) * ((local + n - 1) / n);  // reduce-scatter, then all-gather
  }
  return 0;
}

}  // namespace tess
